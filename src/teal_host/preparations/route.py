"""The app's one nginx file, beside the other sites of this nginx. Teal changes nothing of theirs, but for an untouched
welcome page of the distribution.
"""

from dataclasses import replace
from pathlib import Path
from typing import Dict, Iterator, Optional

from teal_host.ground import files
from teal_host.ground.errors import HostError
from teal_host.preparations import change as setup_change
from teal_host.preparations.base import Intent
from teal_host.preparations.change import SetupChange, note
from teal_host.preparations.site_file import SiteFile, check_port_is_free, contents, site_file
from teal_host.proxies.nginx import https_by_hand
from teal_host.proxies.nginx import program as nginx_program
from teal_host.proxies.nginx import site as nginx_site
from teal_host.proxies.nginx.program import NginxProgram
from teal_host.proxies.system_nginx import SITE_MODE, SystemNginx
from teal_host.state import footprint
from teal_host.state.route import Route
from teal_host.wire.app import NO_HTTPS

_DEBIAN = "/etc/nginx/conf.d"  # nginx of the distribution reads Teal's file there
_RELOAD = "reload nginx (an idle connection that the reload closes may cost its client one request)"


def changes(intent: Intent) -> Iterator[SetupChange]:
    """Raises BadRequest that names the file and line of whatever prevents the site."""
    program = nginx_program.find()
    if program is None:
        check_port_is_free(intent)
        also = "" if intent.agreed.site.domains else "; its welcome page gives way"
        file = f"{_DEBIAN}/teal-{intent.app.name}.conf"
        yield SetupChange(f"write {file} and reload nginx{also}", lambda: establish(intent, site_file(intent)))
        return
    _check_keeps_https(intent)
    rewritten = _rewritten(intent, program)
    if rewritten:
        yield rewritten
        return
    yield from _beside_other_sites(intent, program)


def _check_keeps_https(intent: Intent) -> None:
    """Raises BadRequest if a hand has put HTTPS into the app's file, and teal.toml has none."""
    file = intent.footprint.nginx
    text = files.text_of(Path(file)) if file else None
    has_https = intent.agreed.https != NO_HTTPS
    if file and text and not has_https and not intent.footprint.wrote(Path(file), setup_change.digest(text)):
        https_by_hand.check_kept(file, text, intent.agreed.proxy)


def establish(intent: Intent, site: SiteFile) -> None:
    """The footprint names the files first, so that destroy finds them; then all changes are made, or none."""
    paths = intent.app.paths
    site.file.remember()
    gave_way = site.gives_way or footprint.load(paths).gave_way
    footprint.save(paths, replace(footprint.load(paths), nginx=str(site.file.path), gave_way=gave_way))
    SystemNginx(intent.app.host.paths).establish(intent.agreed.route(paths), contents(intent, site))
    if site.comes_back:
        footprint.save(paths, replace(footprint.load(paths), gave_way=None))


def _beside_other_sites(intent: Intent, program: NginxProgram) -> Iterator[SetupChange]:
    site, route = site_file(intent), intent.agreed.route(intent.app.paths)
    yield from _notes(site)
    does = _RELOAD if program.master else "start nginx"
    written = list(setup_change.write(site.file, lambda: establish(intent, site), f"; {does}{_others_changed(site)}"))
    yield from (_without_token(change, route) for change in written)
    if not written and not SystemNginx(intent.app.host.paths).serves(route):
        yield SetupChange(f"{does}, which does not serve the app as agreed", lambda: establish(intent, site))
    elif not written and site.rejecting:
        yield SetupChange(f"change{_rejecting_change(site)}; {does}", lambda: establish(intent, site))


def _notes(site: SiteFile) -> Iterator[SetupChange]:
    """nginx gives requests for unknown names to the site that nginx reads first."""
    for other in site.overtaken if not site.file.is_so else ():
        yield note(
            f"{other.file}:{other.line} answered names that no site has, only because nginx read it first; it no "
            "longer will (to keep that, add default_server to its listen)"
        )


def _others_changed(site: SiteFile) -> str:
    return f"{_welcome_page_change(site)}{';' if site.rejecting else ''}{_rejecting_change(site)}"


def _rejecting_change(site: SiteFile) -> str:
    return "".join(
        f" {path}, for names that no site has, {'goes' if text is None else 'rejects their HTTPS'}"
        for path, text in site.rejecting.items()
    )


def _welcome_page_change(site: SiteFile) -> str:
    if site.gives_way:
        return f"; the welcome page {site.gives_way.link} gives way (destroy puts it back)"
    return f"; the welcome page {site.comes_back.link} comes back" if site.comes_back else ""


def _without_token(change: SetupChange, route: Route) -> SetupChange:
    """Whoever knows the token can pass for the probe, so no output shows it. Each plan of a new app draws another."""
    hidden = {route.token: "(token)", nginx_site.generation(route): "(generation)"}
    hidden.update({route.mark.question: "(question)", route.mark.answer: "(answer)"})
    diff, text = (tuple(_replaced(line, hidden) for line in lines) for lines in (change.diff, change.text))
    return replace(change, diff=diff, text=text)


def _replaced(line: str, words: Dict[str, str]) -> str:
    for word, placeholder in words.items():
        line = line.replace(word, placeholder)
    return line


def _rewritten(intent: Intent, program: NginxProgram) -> Optional[SetupChange]:
    """A hand has made the app's own file one that nginx refuses: nginx prints no configuration before it is gone."""
    file = intent.footprint.nginx
    refusal = program.refusal() if file else None
    if file is None or refusal is None or not refusal.startswith(f"{file}:"):
        return None
    path = Path(file)
    is_edited = not intent.footprint.wrote(path, setup_change.digest(files.text_of(path) or ""))
    return SetupChange(
        f"write {file} again, because nginx refuses it", lambda: _rewrite(intent, path), (refusal,), is_edited
    )


def _rewrite(intent: Intent, path: Path) -> None:
    before = files.text_of(path) or ""
    files.remove(path)
    try:
        establish(intent, site_file(intent))
    except HostError:
        files.write(path, before, SITE_MODE)
        raise
