"""An app's nginx file, from validated values only. Pure: the same parameters give the same text.

The file is made of parts. Another part is a function from SiteParameters to text, and a row here. An
upgraded server refuses no deploy and reloads no nginx as long as the text of an unchanged app stays the same.
"""

import hashlib
from typing import Callable, Optional, Sequence, Tuple

from teal_host.proxies.nginx import directives, locations, log, server
from teal_host.proxies.nginx.parts import maps, redirects, tls, trusted
from teal_host.proxies.nginx.parts.parameters import Nginx, SiteLog, SiteParameters
from teal_host.state.route import Route

_FIRST_KEEPALIVE = 32  # in the generation for ever: a server whose file has this number still serves as agreed
_Part = Callable[[SiteParameters], str]


def _heading(site: SiteParameters) -> str:
    return (
        f"# {site.route.app}: written by Teal from its teal.toml; a change by hand is overwritten when the route "
        "changes.\n# Which color serves is asked of one file at every request, so a switch needs no reload.\n"
    )


_OUTSIDE: Tuple[_Part, ...] = (_heading, maps.upstreams, maps.maps, maps.fallback, log.log_format)
_OUTSIDE += (redirects.maps, trusted.maps, tls.maps)
_INSIDE: Tuple[_Part, ...] = (
    server.names,
    log.condition,
    trusted.address,
    server.strangers,
    tls.certificate,
    redirects.send,
    server.limits,
    server.color,
    server.fallback,
    server.forwarding,
    server.headers,
    tls.hsts,
    locations.app,
    tls.challenge,
    locations.generation,
    directives.own,
    locations.standby,
    log.access_logs,
)


def site_text(
    route: Route, listens: Sequence[str], site_log: Optional[SiteLog] = None, nginx: Optional[Nginx] = None
) -> str:
    """The app's own file. This nginx listens on each of `listens`, such as `80` and `[::]:80`.

    The file holds its generation, a hash of itself. While nginx answers with that generation, the file is in effect.
    """
    return _text(SiteParameters(route, tuple(listens), site_log, generation(route), nginx=nginx or Nginx()))


def generation(route: Route) -> str:
    """A hash of all that the app can notice. Addresses, logs, kept connections, what only a newer nginx knows and
    the networks of who is trusted by a word are the machine's own business.

    The mark, the longer list of headers, the bound on files and the 503 are left out, too: a file of before there were
    these still serves as agreed.
    """
    agreed = SiteParameters(route, (), None, "", _FIRST_KEEPALIVE, False, False, False, has_ranges=False)
    return hashlib.sha256(_text(agreed).encode()).hexdigest()[:16]


def _text(site: SiteParameters) -> str:
    return f"{_joined(_OUTSIDE, site)}\nserver {{\n{_joined(_INSIDE, site)}}}\n"


def _joined(parts: Sequence[_Part], site: SiteParameters) -> str:
    """The parts that this site has, with an empty line between two."""
    return "\n".join(text for text in (part(site) for part in parts) if text)
