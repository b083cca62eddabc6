"""Whose word counts for the address and the scheme of a request: that of [proxy] trusted, and of nobody else."""

from string import Template
from typing import Tuple

from teal_host.proxies.nginx.parts.parameters import SiteParameters
from teal_host.wire.site_grammar import CLOUDFLARE

# https://www.cloudflare.com/ips, November 2026. They are no part of what is agreed: a longer list refuses no deploy.
CLOUDFLARES = (
    *("173.245.48.0/20", "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "141.101.64.0/18", "108.162.192.0/18"),
    *("190.93.240.0/20", "188.114.96.0/20", "197.234.240.0/22", "198.41.128.0/17", "162.158.0.0/15", "104.16.0.0/13"),
    *("104.24.0.0/14", "172.64.0.0/13", "131.0.72.0/22", "2400:cb00::/32", "2606:4700::/32", "2803:f800::/32"),
    *("2405:b500::/32", "2405:8100::/32", "2a06:98c0::/29", "2c0f:f248::/32"),
)
_MAPS = Template("""\
# Trusted: ${words}. nginx looks at the address that has connected, before any header has changed it.
geo $$realip_remote_addr $$teal_${name}_trusts {
    default "";
${rows}}
map "$$teal_${name}_asker$$teal_${name}_trusts:$$http_x_forwarded_proto" $$teal_${name}_scheme {
    default $$scheme;
    "~^1+:https$$" https;
    "~^1+:http$$" http;
}
""")


def maps(site: SiteParameters) -> str:
    trusted = site.route.rules.trusted
    rows = "".join(f"    {network} 1;\n" for network in _networks(site))
    return _MAPS.substitute(name=site.name, words=", ".join(trusted), rows=rows) if trusted else ""


def address(site: SiteParameters) -> str:
    """Of many addresses in X-Forwarded-For nginx takes the last that is not itself trusted."""
    trusted = site.route.rules.trusted
    if not trusted:
        return ""
    rows = "".join(f"    set_real_ip_from {network};\n" for network in _networks(site))
    header = "CF-Connecting-IP" if set(trusted) == {CLOUDFLARE} else "X-Forwarded-For"
    return f"{rows}    real_ip_header {header};\n    real_ip_recursive on;\n"


def _networks(site: SiteParameters) -> Tuple[str, ...]:
    named = tuple(word for word in site.route.rules.trusted if word != CLOUDFLARE)
    is_behind = CLOUDFLARE in site.route.rules.trusted and site.has_ranges
    return tuple(dict.fromkeys((*named, *(CLOUDFLARES if is_behind else ()))))
