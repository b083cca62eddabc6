"""A distribution's welcome page. It gives way to an app that is to be the default site of its port, and where another
program has its port: nginx would not start beside that program.
"""

import hashlib
from pathlib import Path
from typing import Optional, Sequence, Set

from teal_host.ground import files
from teal_host.ground.errors import BadRequest
from teal_host.ground.remedies import name_app
from teal_host.ground.run import run
from teal_host.proxies.nginx import listeners
from teal_host.proxies.nginx import sites as nginx_sites
from teal_host.proxies.nginx.sites import IncludePoint, Server
from teal_host.state.footprint import WelcomePage

_DPKG_S = 30.0


def giving_way(foreign: Sequence[Server], port: int, include_point: IncludePoint) -> Optional[WelcomePage]:
    """The default site that gives way, if there is one. Raises BadRequest for a default site of the administrator's."""
    page = None
    for site in nginx_sites.default_sites(foreign, port):
        page = _untouched(site)
        if page is None:
            raise BadRequest(
                f"port {port} has a default site already, {site.file}:{site.line}; "
                f"{include_point.path} would be another",
                hint=name_app("example.com"),
            )
    return page


def without_port(foreign: Sequence[Server], nginx_sockets: Set[int]) -> Optional[WelcomePage]:
    """The untouched welcome page whose port another program has, if there is one."""
    for site in foreign:
        if any(listeners.is_taken(listen.port, nginx_sockets) for listen in site.listens):
            page = _untouched(site)
            if page:
                return page
    return None


def _untouched(site: Server) -> Optional[WelcomePage]:
    """A link to a file of a package that nobody has changed since the installation: dpkg knows the file's digest."""
    link, points_to = Path(site.file), files.link_target(Path(site.file))
    if points_to is None:
        return None
    target = Path(link.parent, points_to).resolve()
    owner = run(["dpkg-query", "--search", str(target)], _DPKG_S)
    package = owner.output.split(":")[0] if owner.code == 0 else ""
    shown = run(["dpkg-query", "--show", "--showformat=${Conffiles}\\n", package], _DPKG_S) if package else None
    digest = hashlib.md5(target.read_bytes(), usedforsecurity=False).hexdigest()
    is_known = shown is not None and f" {target} {digest}" in shown.lines
    return WelcomePage(str(link), str(points_to)) if is_known else None
