"""Where the app's nginx file goes on a server that has sites of others, and what the file says there."""

from dataclasses import field
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set, Tuple

from teal_host.ground import files
from teal_host.ground.errors import BadRequest
from teal_host.ground.remedies import CHANGE_DIRECTIVES
from teal_host.preparations import tls_folder, welcome_page
from teal_host.preparations.base import Intent
from teal_host.preparations.change import DesiredFile
from teal_host.proxies import system_nginx
from teal_host.proxies.nginx import listeners
from teal_host.proxies.nginx import log as nginx_log
from teal_host.proxies.nginx import program as nginx_program
from teal_host.proxies.nginx import site as nginx_site
from teal_host.proxies.nginx import sites as nginx_sites
from teal_host.proxies.nginx import trial as nginx_trial
from teal_host.proxies.nginx.directives import explain_refused_directive
from teal_host.proxies.nginx.parts import default_site
from teal_host.proxies.nginx.parts.parameters import Nginx, SiteLog
from teal_host.proxies.nginx.program import NginxProgram
from teal_host.proxies.nginx.sites import IncludePoint, Server
from teal_host.proxies.nginx.tree import Tree
from teal_host.proxies.nginx.trial import TriedFile
from teal_host.state import footprint
from teal_host.state.agreement import Agreement, neighbors
from teal_host.state.footprint import WelcomePage
from teal_host.wire.app import HTTPS_PORT, NO_HTTPS
from teal_host.wire.values import dataclass


@dataclass(frozen=True)
class SiteFile:
    """The file as it should be, and what it does to other sites.

    `gives_way`, `comes_back`: a welcome page. `overtaken`: sites that nginx no longer asks for unknown names.
    `rejecting`: the file of all apps that rejects unknown names of HTTPS, where it changes; None: it goes.
    """

    file: DesiredFile
    gives_way: Optional[WelcomePage]
    comes_back: Optional[WelcomePage]
    overtaken: Tuple[Server, ...]
    rejecting: Dict[Path, Optional[str]] = field(default_factory=dict)


def site_file(intent: Intent) -> SiteFile:
    """nginx has tried the file before this returns. Raises BadRequest for what prevents or refuses the site."""
    program = system_nginx.running()
    tree = program.tree()
    port, domains = intent.agreed.site.http_port, intent.agreed.site.domains
    foreign = _foreign(intent, tree)
    point = _include_point(intent, tree)
    gives_way = None if domains else welcome_page.giving_way(foreign, port, point)
    gives_way = gives_way or welcome_page.without_port(foreign, program.socket_inodes)
    comes_back = intent.footprint.gave_way if domains and system_nginx.restored(intent.footprint) else None
    listens, of_tls, route = *_listens(intent, foreign, program), intent.agreed.route(intent.app.paths)
    nginx = Nginx(program.version, not tls_folder.others_as_worker(program))
    text = nginx_site.site_text(route, [*listens, *of_tls], _log(intent, tree, point), nginx)
    rejecting = _rejecting(
        intent, Path(point.path).parent, [each for each in of_tls if _is_alone(each, foreign)], program
    )
    site = SiteFile(
        _desired(intent, Path(point.path), text), gives_way, comes_back, _overtaken(intent, tree, foreign), rejecting
    )
    if not site.file.is_so:
        _check_accepted(intent, site, program, tree)
    return site


def _ports(agreed: Agreement) -> Tuple[int, ...]:
    return (agreed.site.http_port, *(() if agreed.https == NO_HTTPS else (HTTPS_PORT,)))


def _listens(intent: Intent, foreign: Sequence[Server], program: NginxProgram) -> Tuple[List[str], List[str]]:
    """For HTTP, and for HTTPS. Raises BadRequest where somebody else has the port or the name."""
    values, agreed = [], intent.agreed
    for port in _ports(agreed):
        _check_names_are_free(foreign, agreed.site.names or ("localhost",), port)
        values.append(listeners.of_site(foreign, port, bool(agreed.site.domains)))
        listeners.check_is_free(values[-1], program.socket_inodes)
    return values[0], listeners.for_tls(foreign, values[1], program.version) if values[1:] else []


def _overtaken(intent: Intent, tree: Tree, foreign: Sequence[Server]) -> Tuple[Server, ...]:
    if not intent.agreed.site.domains:
        return ()
    point = _include_point(intent, tree)
    lost = {other for port in _ports(intent.agreed) for other in nginx_sites.overtaken(tree, point, port)}
    return tuple(other for other in foreign if other in lost)


def _is_alone(listen: str, foreign: Sequence[Server]) -> bool:
    return listen.split(maxsplit=1)[0] not in {other.value for site in foreign for other in site.on(HTTPS_PORT)}


def _rejecting(intent: Intent, folder: Path, alone: List[str], program: NginxProgram) -> Dict[Path, Optional[str]]:
    """The file of all apps with HTTPS, where it is not as it should be. It goes with the last of them."""
    present = list(default_site.present({folder, *_folders(intent)}))
    if intent.agreed.https == NO_HTTPS:
        return (
            {}
            if any(other.tls for other in neighbors(intent.app.host.paths, intent.app.name))
            else dict.fromkeys(present)
        )
    text = default_site.text(alone, program.version) if alone else None
    path = present[0] if present else default_site.path_in(folder)
    return {path: text} if path and files.text_of(path) != text else {}


def _folders(intent: Intent) -> Set[Path]:
    named = footprint.nginx_files(intent.app.host.paths, intent.app.name, intent.footprint)
    return {Path(name).parent for name in named}


def _desired(intent: Intent, path: Path, text: str) -> DesiredFile:
    return DesiredFile(intent.app.paths, path, text, system_nginx.SITE_MODE)


def check_port_is_free(intent: Intent) -> None:
    """On a server whose nginx is still to be installed."""
    for port in _ports(intent.agreed):
        listeners.check_is_free(listeners.of_new_nginx(port), set())


def contents(intent: Intent, site: SiteFile) -> Dict[Path, Optional[str]]:
    """The content of every file that changes. None: the file goes."""
    changes: Dict[Path, Optional[str]] = {site.file.path: site.file.text}
    changes.update(site.rejecting)
    if site.gives_way:
        changes[Path(site.gives_way.link)] = None
    if site.comes_back:
        changes.update(system_nginx.restored(intent.footprint))
    if intent.footprint.nginx and intent.footprint.nginx != str(site.file.path):
        changes[Path(intent.footprint.nginx)] = None
    return changes


def _foreign(intent: Intent, tree: Tree) -> List[Server]:
    """Every site that is not Teal's. `agreement` compares Teal's apps with each other."""
    teal_files = footprint.nginx_files(intent.app.host.paths, intent.app.name, intent.footprint)
    teal_files |= {str(path) for path in default_site.present(_folders(intent))}
    return [site for site in nginx_sites.servers(tree) if site.file not in teal_files]


def _include_point(intent: Intent, tree: Tree) -> IncludePoint:
    """The present one; else the best one, if possible one where the file comes before no silent default."""
    stem = f"teal-{intent.app.name}"
    points = nginx_sites.include_points(tree, stem if stem not in default_site.STEMS else default_site.STEMS[-1])
    if not points:
        hint = f"add to its http block: include {Path(tree.main).parent}/conf.d/*.conf;"
        raise BadRequest(f"{tree.main} reads no directory in which a site of its own could be put", hint=hint)
    present = [point for point in points if point.path == intent.footprint.nginx]
    ports = _ports(intent.agreed)
    harmless = [point for point in points if not any(nginx_sites.overtaken(tree, point, port) for port in ports)]
    return (present or harmless or list(points))[0]


def _check_names_are_free(foreign: Sequence[Server], domains: Sequence[str], port: int) -> None:
    for domain in domains:
        for site in nginx_sites.serving(foreign, domain, port):
            raise BadRequest(
                f"{site.file}:{site.line} serves {domain} on port {port} already",
                hint="remove the name there, or choose another: [server] domains",
            )


def _log(intent: Intent, tree: Tree, point: IncludePoint) -> Optional[SiteLog]:
    """In the directory of nginx's own logs. None where the site's file could not repeat what nginx logs already."""
    others = nginx_log.inherited(tree, point.path)
    path = intent.app.host.proxy.log_of(intent.app.name)
    return SiteLog(path, others) if others is not None and path.parent.is_dir() else None


def _check_accepted(intent: Intent, site: SiteFile, program: NginxProgram, tree: Tree) -> None:
    removed = tuple(path for path, content in contents(intent, site).items() if content is None)
    path, proxy, text = site.file.path, intent.app.host.proxy, site.file.text
    for log in (proxy.log_of(intent.app.name), proxy.fallback_log_of(intent.app.name)):
        text = text.replace(f'access_log "{log}" ', 'access_log "/dev/null" ')  # nginx -t makes a log's file
    output = nginx_trial.refusal(program, tree, TriedFile(path, text, removed))
    if output:
        named = explain_refused_directive(intent.agreed.route(intent.app.paths), text, path, output)
        hint = CHANGE_DIRECTIVES if intent.agreed.proxy.directives else ""
        raise named or BadRequest("nginx would refuse the site of this app", [nginx_program.where(output)], hint)
