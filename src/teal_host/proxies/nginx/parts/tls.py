"""What makes an app's site speak TLS. nginx opens the certificate at each handshake, so a new one needs no reload.

Protocols and ciphers are those of Mozilla's intermediate configuration 5.8, without curves: OpenSSL's own are newer.
"""

from string import Template

from teal_host.proxies.nginx.parts.maps import map_word
from teal_host.proxies.nginx.parts.parameters import SiteParameters
from teal_host.proxies.nginx.parts.quoting import quoted

HTTP2_OWN_LINE, CACHES_CERTIFICATES = (1, 25, 1), (1, 27, 4)  # the first nginx that has it
_STRENGTHS = ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")
_CIPHERS = ":".join(f"ECDHE-{key}-{cipher}" for cipher in _STRENGTHS for key in ("ECDSA", "RSA"))
SETTINGS = f"""\
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers {_CIPHERS};
    ssl_prefer_server_ciphers off;
    ssl_session_cache shared:teal:2m;
    ssl_session_timeout 1d;
"""
_MAPS = Template("""\
# The name of each certificate file has a variable, so nginx opens the file at each handshake.
map $$ssl_server_name $$teal_${name}_pem { default pem; }
# A browser may use a connection for another name that its certificate covers. 421 makes the browser open another.
map $$ssl_server_name $$teal_${name}_sni {
    default 1;
${rows}}
map "$$https$$teal_${name}_sni" $$teal_${name}_astray { default ""; on1 1; }
""")
_HSTS = Template("""\
map "${scheme}$$upstream_http_strict_transport_security" $$teal_${name}_hsts { default ""; https "max-age=${age}"; }
""")
_CERTIFICATE = Template("""\
    ssl_certificate "${folder}/fullchain.$$teal_${name}_pem";
    ssl_certificate_key "${folder}/privkey.$$teal_${name}_pem";
""")
_READ_AT_START = Template("""\
    ssl_certificate "${folder}/fullchain.pem";
    ssl_certificate_key "${folder}/privkey.pem";
""")
_CACHE = "    ssl_certificate_cache max=100 valid=2s inactive=1h;\n"
_CHALLENGE = Template("""\
    location ^~ /.well-known/acme-challenge/ {
        auth_basic off;
        allow all;
        default_type text/plain;
        root ${root};
    }
""")
_DAY_S = 24 * 60 * 60


def maps(site: SiteParameters) -> str:
    tls = site.route.tls
    if tls is None:
        return ""
    rows = "".join(f'    {map_word(name, "~*")} "";\n' for name in site.route.site.names)
    text = _MAPS.substitute(name=site.name, rows=rows)
    age = tls.hsts_days * _DAY_S
    return text + (_HSTS.substitute(name=site.name, scheme=site.scheme, age=age) if age else "")


def certificate(site: SiteParameters) -> str:
    tls = site.route.tls
    if tls is None:
        return ""
    opened = _CERTIFICATE if site.nginx.opens_key else _READ_AT_START
    text = opened.substitute(folder=quoted(tls.folder).strip('"'), name=site.name) + SETTINGS
    text += _CACHE if site.nginx.version >= CACHES_CERTIFICATES and site.nginx.opens_key else ""
    text += "    http2 on;\n" if site.nginx.version >= HTTP2_OWN_LINE else ""
    return f"{text}    if ($teal_{site.name}_astray) {{ return 421; }}\n"


def hsts(site: SiteParameters) -> str:
    tls = site.route.tls
    is_set = tls is not None and tls.hsts_days
    return f"    add_header Strict-Transport-Security $teal_{site.name}_hsts always;\n" if is_set else ""


def challenge(site: SiteParameters) -> str:
    tls = site.route.tls
    return _CHALLENGE.substitute(root=quoted(tls.challenges)) if tls else ""
