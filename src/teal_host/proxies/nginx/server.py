"""The head of a site's server block: where it listens, which color serves, and how a request is passed on."""

import re
from string import Template
from typing import Set

from teal_host.proxies.nginx.parts.maps import name_pattern
from teal_host.proxies.nginx.parts.parameters import SiteParameters
from teal_host.proxies.nginx.parts.quoting import quoted
from teal_host.state.route import Route
from teal_host.wire.app import is_wildcard
from teal_host.wire.reports import ANSWERED_HEADER

_STRANGERS = Template("""\
    if ($$teal_${name}_stranger) { return 444; }
""")
_LIMITS = Template("""\
    open_file_cache off;
    client_max_body_size ${max_body};
    ${gzip}
""")
_GZIP = """\
gzip on;
    gzip_vary on;
    gzip_proxied any;
    gzip_comp_level 5;
    gzip_min_length 1000;
    gzip_types text/plain text/css text/csv text/javascript text/xml application/javascript application/json
        application/ld+json application/manifest+json application/problem+json application/rss+xml application/atom+xml
        application/xhtml+xml application/xml application/wasm image/svg+xml image/bmp font/ttf font/otf;"""
_COLOR = Template("""\
    set $$teal_color blue;
    if (-f ${marker}) { set $$teal_color green; }
${socket}    set $$teal_app $$teal_${name}_asked;
""")
# Asked of the color and not of the link, which may turn between two questions.
_ON_SOCKET = Template("""\
    set $$teal_on_socket "";
    if (-f "${home}/$$teal_color/socket") { set $$teal_on_socket _socket; }
""")
_FALLBACK = Template("""\
    error_page 502 = @teal_${name}_standby;
""")
_PAGE_502 = re.compile(r"\s*error_page\s([^;]*\s)?502\s")
_FORWARDING = Template("""\
    proxy_http_version 1.1;
    proxy_connect_timeout 5s;
    proxy_read_timeout ${read_timeout}s;
    proxy_send_timeout ${read_timeout}s;
    proxy_next_upstream error;
    proxy_buffering ${buffering};
    proxy_buffer_size 16k;
    proxy_buffers 8 16k;
    proxy_busy_buffers_size 32k;
    proxy_temp_file_write_size 32k;
""")
# Otherwise a program that says `X-Accel-Buffering: yes` fills the disk with answers that nobody reads, 1 GB for each.
_NO_SPOOL = "    proxy_max_temp_file_size 0;\n"
_HEADERS = Template("""\
    # What only a proxy may say is said anew, never passed on.
    proxy_set_header Host $$teal_${name}_host;
    proxy_set_header Connection $$teal_${name}_connect;
    proxy_set_header Upgrade $$teal_${name}_upgrade;
    proxy_set_header X-Forwarded-For $$remote_addr;
    proxy_set_header X-Forwarded-Proto ${scheme};
    proxy_set_header X-Forwarded-Host $$teal_${name}_host;
    proxy_set_header X-Real-IP $$remote_addr;
    proxy_set_header Forwarded "";
    proxy_set_header X-Forwarded-Port "";
    proxy_set_header X-Forwarded-Server "";
    proxy_set_header X-Forwarded-Prefix "";
    proxy_set_header X-Forwarded-Ssl "";
    proxy_set_header X-Teal-Probe "";
    proxy_hide_header ${answered_header};
    add_header ${answered_header} $$teal_${name}_answered always;
""")
# nginx warns of more headers than a default table holds well, as soon as directives add some.
HEADERS_TABLE = {"proxy_headers_hash_max_size": 1024, "proxy_headers_hash_bucket_size": 128}
# In which frameworks and their helpers believe: who asks, how, and for what.
_NEVER_OF_A_CLIENT = (
    *("Client-IP", "X-Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "CF-Connecting-IP", "CF-Connecting-IPv6"),
    *("Fastly-Client-IP", "X-Remote-IP", "X-Remote-Addr", "X-Original-Forwarded-For", "X-Forwarded", "Forwarded-For"),
    *("X-Forwarded-Scheme", "X-Forwarded-Protocol", "X-Scheme", "X-Url-Scheme", "Front-End-Https"),
    *("X-Host", "X-Original-Host", "X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Uri", "Proxy"),
    *("Remote-User", "X-Remote-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups"),
    *("X-Forwarded-Preferred-Username", "X-Auth-Request-User", "X-Auth-Request-Email", "X-WebAuth-User"),
    *("X-Authenticated-User", "X-Forwarded-Client-Cert", "X-SSL-Client-Cert", "X-SSL-Client-Verify", "X-SSL-Client-DN"),
    *("X-Client-Cert", "X-Client-Verify", "X-Client-DN", "X-Accel-Mapping", "X-Sendfile-Type"),
)


def names(site: SiteParameters) -> str:
    """Where nginx finds the app: on which addresses, under which names."""
    domains = site.route.site.domains
    default = "" if domains else " default_server"
    listens = "".join(f"    listen {listen}{default};\n" for listen in site.listens)
    names = " ".join(map(_server_name, site.route.site.names)) or "_"
    return f"{listens}    server_name {names};\n"


def _server_name(name: str) -> str:
    """nginx's own `*.` stands for any number of labels. An exact name, also of another site, comes before a pattern."""
    return f'"~^{name_pattern(name)}$"' if is_wildcard(name) else name


def strangers(site: SiteParameters) -> str:
    return _STRANGERS.substitute(name=site.name) if site.route.site.domains else ""


def limits(site: SiteParameters) -> str:
    rules = site.route.rules
    max_body = f"{rules.max_body_mb}m" if rules.max_body_mb else "0"
    return _LIMITS.substitute(max_body=max_body, gzip=_GZIP if rules.gzip else "gzip off;")


def fallback(site: SiteParameters) -> str:
    """Of two error pages for a status nginx takes the first, so a page of the user's own for 502 takes the place."""
    return _FALLBACK.substitute(name=site.name) if falls_back(site.route) else ""


def falls_back(route: Route) -> bool:
    """Does nginx's file have a way to the standby that nginx takes?"""
    return route.fallback is not None and not any(map(_PAGE_502.match, route.rules.directives))


def color(site: SiteParameters) -> str:
    home = quoted(site.route.live.parent).strip('"')
    socket = _ON_SOCKET.substitute(home=home) if site.sockets else ""
    return _COLOR.substitute(name=site.name, marker=quoted(site.route.live / "green"), socket=socket)


def forwarding(site: SiteParameters) -> str:
    rules = site.route.rules
    buffering = "on" if rules.buffering else "off"
    text = _FORWARDING.substitute(read_timeout=rules.read_timeout_s, buffering=buffering)
    may_spool = not site.takes_claims or rules.buffering or "proxy_max_temp_file_size" in _own_names(site)
    return text if may_spool else text + _NO_SPOOL


def headers(site: SiteParameters) -> str:
    text = _HEADERS.substitute(name=site.name, answered_header=ANSWERED_HEADER, scheme=site.scheme)
    if not site.takes_claims:
        return text
    text += "".join(f'    proxy_set_header {header} "";\n' for header in _NEVER_OF_A_CLIENT)
    own = _own_names(site)
    return text + "".join(f"    {name} {size};\n" for name, size in HEADERS_TABLE.items() if name not in own)


def _own_names(site: SiteParameters) -> Set[str]:
    """The names of the user's own directives. Most may stand once."""
    return {directive.split()[0] for directive in site.route.rules.directives if directive.split()}
