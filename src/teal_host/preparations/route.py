"""The app's one nginx file, beside whatever else this nginx serves. Nothing of anybody else's is changed, but for a
distribution's untouched welcome page, which gives way to an app that is to be the default site.
"""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from teal_host import act, footprint, proc
from teal_host.act import Act, Wanted
from teal_host.errors import BadRequest
from teal_host.footprint import GaveWay
from teal_host.preparations.base import Intent
from teal_host.proxies import nginx_program, nginx_sites, nginx_text
from teal_host.proxies.nginx_sites import Place, Server
from teal_host.proxies.nginx_tree import Tree
from teal_host.proxies.system_nginx import SystemNginx, running
from teal_host.run import run
from teal_host.wire.values import dataclass

_DEBIAN = "/etc/nginx/conf.d"  # where a file of ours is read once apt has installed nginx
_DPKG_S = 30.0


def acts(intent: Intent) -> Iterator[Act]:
    """Raises BadRequest naming the file and line of whatever stands in the way."""
    site = intent.agreed.site
    program = nginx_program.find()
    if program is None:
        _refuse_taken_port(site.http_port)
        also = "" if site.domains else "; its welcome page gives way"
        file = f"{_DEBIAN}/teal-{intent.app.name}.conf"
        yield Act(f"write {file} and reload nginx{also}", lambda: establish(intent, chosen(intent)))
        return
    if program.master is None:
        _refuse_taken_port(site.http_port)
    choice = chosen(intent)
    yield from _takes_over(choice)
    written = list(act.write(choice.wanted, lambda: establish(intent, choice), "; reload nginx"))
    yield from written
    if not written and not SystemNginx(intent.app.host.paths).serves(intent.agreed.route(intent.app.paths)):
        yield Act("reload nginx, which does not serve the app as agreed", lambda: establish(intent, choice))


@dataclass(frozen=True)
class Choice:
    """Where the file goes and what is in it; which welcome page gives way; whose place as silent default it takes."""

    wanted: Wanted
    gives_way: Optional[GaveWay]
    overtaken: Tuple[Server, ...]


def chosen(intent: Intent) -> Choice:
    tree = running().tree()
    port, domains = intent.agreed.site.http_port, intent.agreed.site.domains
    foreign = _foreign(intent, tree)
    place = _place(intent, tree)
    _refuse_served_names(foreign, domains, port)
    gives_way = None if domains else _welcome_page(foreign, port, place)
    listens = [listen for listen in nginx_sites.listens(foreign, port) if proc.has_ipv6() or "[" not in listen]
    text = nginx_text.site_text(intent.agreed.route(intent.app.paths), listens)
    overtaken = nginx_sites.overtaken(tree, place, port) if domains else ()
    return Choice(Wanted(intent.app.paths, Path(place.path), text), gives_way, overtaken)


def establish(intent: Intent, choice: Choice) -> None:
    """Say first what will be there, so that destroy finds it; then all of it or nothing."""
    paths, path = intent.app.paths, choice.wanted.path
    told = footprint.load(paths).with_file(path, act.digest(choice.wanted.text))
    footprint.save(paths, replace(told, nginx=str(path), gave_way=choice.gives_way or told.gave_way))
    changes: Dict[Path, Optional[str]] = {path: choice.wanted.text}
    if choice.gives_way:
        changes[Path(choice.gives_way.link)] = None
    if intent.footprint.nginx and intent.footprint.nginx != str(path):
        changes[Path(intent.footprint.nginx)] = None
    SystemNginx(intent.app.host.paths).establish(intent.agreed.route(paths), changes)


def _foreign(intent: Intent, tree: Tree) -> List[Server]:
    """Every site that is not Teal's; what Teal's apps take from each other, `agreement` has looked at."""
    told = [intent.footprint, *(other for _, other in footprint.others(intent.app.host.paths, intent.app.name))]
    ours = {one.nginx for one in told}
    return [site for site in nginx_sites.servers(tree) if site.file not in ours]


def _place(intent: Intent, tree: Tree) -> Place:
    """Where it is already, or the best place there is; one before which no silent default comes is better."""
    places = nginx_sites.places(tree, f"teal-{intent.app.name}")
    if not places:
        hint = f"add to its http block: include {Path(tree.main).parent}/conf.d/*.conf;"
        raise BadRequest(f"{tree.main} reads no directory in which a site of its own could be put", hint=hint)
    here = [place for place in places if place.path == intent.footprint.nginx]
    port = intent.agreed.site.http_port
    quiet = [place for place in places if not nginx_sites.overtaken(tree, place, port)]
    return (here or quiet or list(places))[0]


def _refuse_served_names(foreign: Sequence[Server], domains: Sequence[str], port: int) -> None:
    for domain in domains:
        for site in nginx_sites.serving(foreign, domain, port):
            raise BadRequest(
                f"{domain} is served on port {port} by {site.file}:{site.line} already",
                hint="take it out there, or choose another in [server] domains",
            )


def _welcome_page(foreign: Sequence[Server], port: int, place: Place) -> Optional[GaveWay]:
    """The one default site that may give way. Any other is the admin's: raises BadRequest, naming both files."""
    found = None
    for site in nginx_sites.default_sites(foreign, port):
        found = _untouched_welcome_page(site)
        if found is None:
            raise BadRequest(
                f"port {port} has a default site already, {site.file}:{site.line}; {place.path} would be another",
                hint='give this app a name: [server] domains = ["example.com"]',
            )
    return found


def _untouched_welcome_page(site: Server) -> Optional[GaveWay]:
    """A link to a file that a package brought and nobody has changed since: dpkg knows its digest."""
    link = Path(site.file)
    if not link.is_symlink():
        return None
    target = Path(link.parent, link.readlink()).resolve()
    told = run(["dpkg-query", "--search", str(target)], _DPKG_S)
    package = told.output.split(":")[0] if told.code == 0 else ""
    asked = run(["dpkg-query", "--show", "--showformat=${Conffiles}\\n", package], _DPKG_S) if package else None
    lines = asked.lines if asked else []
    now = hashlib.md5(target.read_bytes(), usedforsecurity=False).hexdigest()
    return GaveWay(str(link), str(link.readlink())) if f" {target} {now}" in lines else None


def _takes_over(choice: Choice) -> Iterator[Act]:
    """Said in the plan, because nginx gives unknown names to whichever site it reads first."""
    if choice.gives_way:
        yield Act(f"take away the welcome page, {choice.gives_way.link} (destroy puts it back)", lambda: None)
    if not choice.wanted.is_so:
        for site in choice.overtaken:
            text = f"note: names that no site has, which {site.file}:{site.line} answered only because it is read first"
            yield Act(f"{text}, get no answer any more (to keep that: listen … default_server there)", lambda: None)


def _refuse_taken_port(port: int) -> None:
    for socket in proc.listeners(port):
        holder = proc.describe_holder(socket.inode)
        raise BadRequest(f"port {port} is taken by {holder}", hint="choose another: [server] http_port = 8080")
