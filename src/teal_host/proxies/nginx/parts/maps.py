"""The part of a site's file that stands outside of the server block: where the colors are, and what a request gets."""

import re
from string import Template
from typing import Sequence

from teal_host.proxies.nginx.parts.parameters import SiteParameters
from teal_host.wire.app import is_wildcard
from teal_host.wire.grammar import COLORS, Color

_UPSTREAMS = Template("""\
# A connection that is kept can be closed by the program just when it is used again. Then nginx asks once more, which
# is safe for GET and HEAD alone; everything else gets a connection of its own and is never sent twice. (That is asked
# of an address, because newer nginx keeps connections of every upstream.)
upstream teal_${app}_blue  { server 127.0.0.1:${blue};  keepalive ${keepalive}; keepalive_timeout 4s; }
upstream teal_${app}_green { server 127.0.0.1:${green}; keepalive ${keepalive}; keepalive_timeout 4s; }
""")
_MAPS = Template("""\
map $$request_method $$teal_${name}_once { default _once; GET ""; HEAD ""; }
map $$teal_color${on_socket}$$teal_${name}_once $$teal_${name}_asked {
    blue       teal_${app}_blue;
    green      teal_${app}_green;
    blue_once  127.0.0.1:${blue};
    green_once 127.0.0.1:${green};
${sockets}}
map $$http_upgrade $$teal_${name}_upgrade { default ""; websocket websocket; }
map $$teal_${name}_upgrade$$teal_${name}_once $$teal_${name}_connect { default upgrade; "" ""; _once close; }
map $$http_host $$teal_${name}_host { default $$host; "" ${host}; "~(:[0-9]+)$$" $$host$$1; }
map $$http_x_teal_probe $$teal_${name}_answered { default ""; "${token}" $$upstream_addr;${mark} }
""")
_SOCKET_UPSTREAMS = Template("""\
upstream teal_${app}_blue_socket  { server unix:${blue}; keepalive ${keepalive}; keepalive_timeout 4s; }
upstream teal_${app}_green_socket { server unix:${green}; keepalive ${keepalive}; keepalive_timeout 4s; }
""")
_SOCKETS = Template("""\
    blue_socket       teal_${app}_blue_socket;
    green_socket      teal_${app}_green_socket;
    blue_socket_once  unix:${blue}:;
    green_socket_once unix:${green}:;
""")
_NAMES = Template("""\
map $$http_host $$teal_${name}_named { default $$host; "" ""; }
map $$teal_${name}_named $$teal_${name}_stranger {
    default 1;
${rows}}
""")
_FALLBACK = Template("""\
# The color to ask instead: only for GET and HEAD, and only when not one byte came from the live color. Never for Teal's
# probe; for a body, because nginx may have passed on a part of it; for a websocket, because it would stay there.
map "$$teal_color$$teal_${name}_once$$teal_${name}_upgrade$$http_x_teal_probe$$http_transfer_encoding$$content_length \
$$upstream_addr $$upstream_bytes_received" $$teal_${name}_instead {
    default "";
    "~^blue0? (.*, )?${blue} (0, )*0$$"  green;
    "~^green0? (.*, )?${green} (0, )*0$$" blue;
}
""")
ON_SOCKET = "$teal_on_socket"  # nginx's variable: `_socket` where the color listens on its unix socket, else nothing
_WORDS_OF_MAP = ("default", "include", "hostnames", "volatile")
_LONGEST_HASHED = 40  # nginx puts longer words of a map into its hash only after a change of the main file


def upstreams(site: SiteParameters) -> str:
    ports, rest = site.route.ports, {"app": site.route.app, "keepalive": site.keepalive}
    text = _UPSTREAMS.substitute(rest, blue=ports.blue, green=ports.green)
    return text + (_SOCKET_UPSTREAMS.substitute(rest, **site.sockets) if site.sockets else "")


def maps(site: SiteParameters) -> str:
    route = site.route
    text = _MAPS.substitute(
        app=route.app,
        name=site.name,
        blue=route.ports.blue,
        green=route.ports.green,
        host=route.site.host,
        token=route.token,
        on_socket=ON_SOCKET if site.sockets else "",
        sockets=_SOCKETS.substitute(app=route.app, **site.sockets) if site.sockets else "",
        mark=_mark(site),
    )
    return text + (_names(site.name, route.site.names) if route.site.domains else "")


def fallback(site: SiteParameters) -> str:
    if site.route.fallback is None:
        return ""
    blue, green = (_address(site, color) for color in COLORS)
    return _FALLBACK.substitute(name=site.name, blue=blue, green=green)


def _address(site: SiteParameters, color: Color) -> str:
    """A pattern of the addresses as which nginx names the color."""
    port = f"127[.]0[.]0[.]1:{site.route.ports.of(color)}"
    if not site.sockets:
        return port
    path = re.sub(r"([.+])", r"[\1]", site.sockets[color])
    return f"({port}|unix:{path})"


def _mark(site: SiteParameters) -> str:
    return f' "{site.route.mark.question}" "{site.route.mark.answer}";' if site.has_mark else ""


def _names(name: str, domains: Sequence[str]) -> str:
    """The default site of a port gets requests for any name. An app with names answers for those names alone."""
    rows = "".join(f'    {map_word(domain)} "";\n' for domain in domains)
    return _NAMES.substitute(name=name, rows=rows)


def map_word(domain: str, pattern: str = "~") -> str:
    """How a map knows the name. `pattern` begins what is compared as a regular expression."""
    if is_wildcard(domain) or len(domain) > _LONGEST_HASHED:
        return f'"{pattern}^{name_pattern(domain)}$"'
    return f'"\\\\{domain}"' if domain in _WORDS_OF_MAP else domain


def name_pattern(domain: str) -> str:
    """A `*` is one label, as it is in a certificate."""
    return domain.replace(".", "[.]").replace("*", "[^.]+")
