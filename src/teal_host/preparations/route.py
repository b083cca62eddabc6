"""The app's one nginx file, beside whatever else this nginx serves. Nothing of anybody else's is changed, but for a
distribution's untouched welcome page, which gives way to an app that is to be the default site.
"""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from teal_host.ground import files
from teal_host.ground.errors import BadRequest, HostError
from teal_host.ground.run import run
from teal_host.preparations import change as setup_change
from teal_host.preparations.base import Intent
from teal_host.preparations.change import DesiredFile, SetupChange, note
from teal_host.proxies import system_nginx
from teal_host.proxies.nginx import listeners
from teal_host.proxies.nginx import log as nginx_log
from teal_host.proxies.nginx import program as nginx_program
from teal_host.proxies.nginx import site as nginx_site
from teal_host.proxies.nginx import sites as nginx_sites
from teal_host.proxies.nginx import trial as nginx_trial
from teal_host.proxies.nginx.directives import explain_refused_directive
from teal_host.proxies.nginx.parameters import SiteLog
from teal_host.proxies.nginx.program import NginxProgram
from teal_host.proxies.nginx.sites import IncludePoint, Server
from teal_host.proxies.nginx.tree import Tree
from teal_host.proxies.system_nginx import SystemNginx
from teal_host.state import footprint
from teal_host.state.footprint import GaveWay
from teal_host.state.route import Route
from teal_host.wire.values import dataclass

_DEBIAN = "/etc/nginx/conf.d"  # where a file of ours is read once apt has installed nginx
_DPKG_S = 30.0
_OTHER_PORT = "choose another: [server] http_port = 8080"


def acts(intent: Intent) -> Iterator[SetupChange]:
    """Raises BadRequest naming the file and line of whatever stands in the way."""
    program = nginx_program.find()
    if program is None:
        port = intent.agreed.site.http_port
        listeners.check_is_free(listeners.of_new_nginx(port), set(), _OTHER_PORT)
        also = "" if intent.agreed.site.domains else "; its welcome page gives way"
        file = f"{_DEBIAN}/teal-{intent.app.name}.conf"
        yield SetupChange(f"write {file} and reload nginx{also}", lambda: establish(intent, chosen(intent)))
        return
    refused = _refused_file_of_ours(intent, program)
    if refused:
        yield refused
        return
    choice = chosen(intent)
    yield from _notes(choice)
    does = "reload nginx" if program.master else "start nginx"
    also = f"; {does}{_as_to_welcome_pages(choice)}"
    written = list(setup_change.write(choice.wanted, lambda: establish(intent, choice), also))
    yield from (_without_token(one, intent.agreed.route(intent.app.paths)) for one in written)
    if not written and not SystemNginx(intent.app.host.paths).serves(intent.agreed.route(intent.app.paths)):
        yield SetupChange(f"{does}, which does not serve the app as agreed", lambda: establish(intent, choice))


@dataclass(frozen=True)
class Choice:
    """Where the file goes and what is in it; which welcome page gives way or comes back; whose place as silent default
    it takes.
    """

    wanted: DesiredFile
    gives_way: Optional[GaveWay]
    comes_back: Optional[GaveWay]
    overtaken: Tuple[Server, ...]


def _without_token(change: SetupChange, route: Route) -> SetupChange:
    """Who knows it can pass for the probe, so no output shows it; of a new app the next look makes another."""
    words = {route.token: "(token)", nginx_site.generation(route): "(generation)"}
    diff, text = (tuple(_spoken(line, words) for line in lines) for lines in (change.diff, change.text))
    return replace(change, diff=diff, text=text)


def _spoken(line: str, words: Dict[str, str]) -> str:
    for word, says in words.items():
        line = line.replace(word, says)
    return line


def _notes(choice: Choice) -> Iterator[SetupChange]:
    """Who gets no more requests for names that no site has: nginx gives those to whichever site it reads first."""
    for site in choice.overtaken if not choice.wanted.is_so else ():
        yield note(
            f"{site.file}:{site.line} answered names that no site has only because nginx read it first; it does not "
            "any more (to keep that, add default_server to its listen)"
        )


def chosen(intent: Intent) -> Choice:
    """Tried before it is given. Raises BadRequest for what stands in the way, and for what nginx would refuse."""
    program = system_nginx.running()
    tree = program.tree()
    port, domains = intent.agreed.site.http_port, intent.agreed.site.domains
    foreign = _foreign(intent, tree)
    place = _place(intent, tree)
    gives_way = None if domains else _welcome_page(foreign, port, place)
    _refuse_served_names(foreign, domains or ("localhost",), port)
    comes_back = intent.footprint.gave_way if domains and system_nginx.restored(intent.footprint) else None
    listens = listeners.of_site(foreign, port, bool(domains))
    listeners.check_is_free(listens, program.socket_inodes, _OTHER_PORT)
    text = nginx_site.site_text(intent.agreed.route(intent.app.paths), listens, _log(intent, tree, place))
    overtaken = nginx_sites.overtaken(tree, place, port) if domains else ()
    choice = Choice(DesiredFile(intent.app.paths, Path(place.path), text), gives_way, comes_back, overtaken)
    if not choice.wanted.is_so:
        _try(intent, choice, program, tree)
    return choice


def _log(intent: Intent, tree: Tree, place: IncludePoint) -> Optional[SiteLog]:
    """Where this nginx's own logs are; None where what it logs already could not go on as it is."""
    others = nginx_log.inherited(tree, place.path)
    path = intent.app.host.proxy.log_of(intent.app.name)
    return SiteLog(path, others) if others is not None and path.parent.is_dir() else None


def _try(intent: Intent, choice: Choice, program: NginxProgram, tree: Tree) -> None:
    without = [path for path, content in _changes(intent, choice).items() if content is None]
    path, log = choice.wanted.path, intent.app.host.proxy.log_of(intent.app.name)
    text = choice.wanted.text.replace(f'access_log "{log}" ', 'access_log "/dev/null" ')  # nginx -t makes a log's file
    said = nginx_trial.refusal(program, tree, path, text, without)
    if said:
        named = explain_refused_directive(intent.agreed.route(intent.app.paths), text, path, said)
        hint = "look at [proxy] directives in teal.toml" if intent.agreed.proxy.directives else ""
        raise named or BadRequest("nginx would refuse the site of this app", [nginx_program.where(said)], hint)


def establish(intent: Intent, choice: Choice) -> None:
    """Say first what will be there, so that destroy finds it; then all of it or nothing."""
    paths, path = intent.app.paths, choice.wanted.path
    choice.wanted.remember()
    gave_way = choice.gives_way or footprint.load(paths).gave_way
    footprint.save(paths, replace(footprint.load(paths), nginx=str(path), gave_way=gave_way))
    SystemNginx(intent.app.host.paths).establish(intent.agreed.route(paths), _changes(intent, choice))
    if choice.comes_back:
        footprint.save(paths, replace(footprint.load(paths), gave_way=None))


def _changes(intent: Intent, choice: Choice) -> Dict[Path, Optional[str]]:
    """Which files become what; None: they go."""
    changes: Dict[Path, Optional[str]] = {choice.wanted.path: choice.wanted.text}
    if choice.gives_way:
        changes[Path(choice.gives_way.link)] = None
    if choice.comes_back:
        changes.update(system_nginx.restored(intent.footprint))
    if intent.footprint.nginx and intent.footprint.nginx != str(choice.wanted.path):
        changes[Path(intent.footprint.nginx)] = None
    return changes


def _refused_file_of_ours(intent: Intent, program: NginxProgram) -> Optional[SetupChange]:
    """A hand has made our own file one that nginx refuses, so nothing can be asked of the whole before it is gone."""
    ours = intent.footprint.nginx
    refused = program.refuses() if ours else None
    if ours is None or refused is None or not refused.startswith(f"{ours}:"):
        return None
    says = f"write {ours} anew, which nginx refuses"
    now = files.text_of(Path(ours)) or ""
    return SetupChange(
        says,
        lambda: _anew(intent, Path(ours)),
        (refused,),
        not intent.footprint.wrote(Path(ours), setup_change.digest(now)),
    )


def _anew(intent: Intent, ours: Path) -> None:
    now = files.text_of(ours) or ""
    files.remove(ours)
    try:
        establish(intent, chosen(intent))
    except HostError:
        files.write(ours, now)
        raise


def _foreign(intent: Intent, tree: Tree) -> List[Server]:
    """Every site that is not Teal's; what Teal's apps take from each other, `agreement` has looked at."""
    told = [intent.footprint, *(other for _, other in footprint.others(intent.app.host.paths, intent.app.name))]
    ours = {one.nginx for one in told}
    return [site for site in nginx_sites.servers(tree) if site.file not in ours]


def _place(intent: Intent, tree: Tree) -> IncludePoint:
    """Where it is already, or the best place there is; one before which no silent default comes is better."""
    places = nginx_sites.include_points(tree, f"teal-{intent.app.name}")
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
                hint="take it out there, or name another: [server] domains",
            )


def _welcome_page(foreign: Sequence[Server], port: int, place: IncludePoint) -> Optional[GaveWay]:
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


def _as_to_welcome_pages(choice: Choice) -> str:
    if choice.gives_way:
        return f"; the welcome page {choice.gives_way.link} gives way (destroy puts it back)"
    return f"; the welcome page {choice.comes_back.link} comes back" if choice.comes_back else ""
