"""The machine's nginx, which serves other sites too. Setup writes the app's route; a deploy only checks it.

So a deploy reloads nothing, and somebody else's broken configuration does not prevent a deploy.
"""

import contextlib
import re
import socket
import time
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set, Tuple

from teal_host.ground import files, processes, sockets
from teal_host.ground.errors import BadRequest, CannotRun, NeedsHuman
from teal_host.ground.http_probe import Address
from teal_host.ground.paths import HostPaths
from teal_host.ground.processes import Life
from teal_host.ground.remedies import CHANGE_DIRECTIVES, MEND, on_server
from teal_host.proxies import reach
from teal_host.proxies.nginx import effect, listeners
from teal_host.proxies.nginx import program as nginx_program
from teal_host.proxies.nginx.log import fallback_log
from teal_host.proxies.nginx.parts import default_site
from teal_host.proxies.nginx.program import NginxProgram
from teal_host.state import footprint
from teal_host.state.footprint import Footprint, WelcomePage
from teal_host.state.route import Route
from teal_host.state.seams import Closed
from teal_host.wire.app import Site

LOGS = Path("/var/log/nginx")
_ERROR_LOG = LOGS / "error.log"
SITE_MODE = 0o600  # the file has the probe's token; nginx reads it as root
_MOST_LOG = 64 * 1024  # bytes
_IN_EFFECT_S = 15.0
_PAUSE_S = 0.02


class SystemNginx:
    """A Proxy."""

    def __init__(self, host: HostPaths) -> None:
        self._host = host
        self._master: Optional[Life] = None

    def check_site(self, site: Site) -> None:
        program = nginx_program.find()
        if program is None:
            raise BadRequest("this server no longer has nginx", hint="teal setup")
        if program.master is None:
            hint = f"{on_server('systemctl start nginx')} (if nginx does not start: teal doctor)"
            raise NeedsHuman("nginx does not run on this server, so none of its sites is served", hint=hint)

    def try_route(self, route: Route, others: Sequence[Route]) -> None:
        """Setup has tried it, and a deploy changes no route."""

    def serve(self, route: Route, others: Sequence[Route]) -> bool:
        """Changes nothing: `establish` is for setup."""
        if not self.serves(route):
            raise CannotRun(f"nginx does not serve {route.app} as setup agreed", hint="teal doctor")
        return False

    def remove(self, app: str, others: Sequence[Route]) -> None:
        """Removes the route, and restores a welcome page that gave way to the route."""
        agreed = footprint.load(self._host.app(app))
        if agreed.nginx is None:
            return
        file = Path(agreed.nginx)
        shared = () if any(other.tls for other in others) else default_site.present({file.parent, *self._folders(app)})
        self.change({file: None, **dict.fromkeys(shared), **restored(agreed)})
        files.remove(self.log_of(app))
        log = self.fallback_log_of(app)
        for rotated in (log, *log.parent.glob(f"{log.name}.*")):
            files.remove(rotated)

    def _folders(self, app: str) -> Set[Path]:
        """Where apps have their files."""
        return {Path(name).parent for name in footprint.nginx_files(self._host, app, Footprint())}

    def serves(self, route: Route) -> bool:
        return effect.why_not_served(route) is None

    def address(self, site: Site) -> Tuple[str, int]:
        return listeners.address(site)

    def closed(self, at: Address) -> Optional[Closed]:
        """Where nginx does not run, others say so."""
        master = self._master_pid() if isinstance(at, str) else None
        worker = nginx_program.worker_of(master) if master else None
        return reach.closed_to(worker, Path(at)) if worker and isinstance(at, str) else None

    def url(self, route: Route) -> str:
        return listeners.url(route, _name_of_this_machine())

    def log_of(self, app: str) -> Path:
        """In nginx's own log directory: nginx would not start if Teal had a log directory and that got lost."""
        return LOGS / f"teal-{app}.watched"

    def fallback_log_of(self, app: str) -> Path:
        return fallback_log(self.log_of(app))

    def quiet(self, site: Site) -> bool:
        return listeners.is_quiet(self._master_pid(), site)

    def _master_pid(self) -> Optional[int]:
        """The search goes through all processes, and a drain asks every few milliseconds."""
        if self._master is None or processes.life(self._master.pid) != self._master:
            program = nginx_program.find()
            self._master = program.master if program else None
        return self._master.pid if self._master else None

    # --- for setup and destroy ------------------------------------------------------------------------------------

    def establish(self, route: Route, changes: "Dict[Path, Optional[str]]") -> None:
        """Make these files hold these contents (None: no file), and wait until nginx serves the route.

        All changes or none: if nginx refuses them or does not serve the route, Teal takes them back.
        """
        before = self.change(changes)
        try:
            self._wait_for(route)
        except CannotRun:
            self.change(before)
            raise

    def change(self, changes: "Dict[Path, Optional[str]]") -> "Dict[Path, Optional[str]]":
        """Returns the contents from before. Raises BadRequest, and changes nothing, if nginx refuses the change."""
        program = nginx_program.find()
        before = {path: _content_of(path) for path in changes}
        _make_all(changes)
        refused = program.refusal() if program else None
        if refused:
            _make_all(before)
            raise BadRequest("nginx refuses the change, so nothing was changed", [refused], _hint(refused, changes))
        if program:
            program.reload()
        return before

    def _wait_for(self, route: Route) -> None:
        """Starts nginx if nginx does not run. Raises CannotRun if nginx does not serve the route in time."""
        program = running()
        log_size = files.size_of(_ERROR_LOG)
        if program.master is None:
            program.start()
        deadline = time.monotonic() + _IN_EFFECT_S
        while (why := _why_not_served(route)) is not None:
            if time.monotonic() > deadline:
                hint = f"see: {on_server(f'tail {_ERROR_LOG}')}"
                if route.rules.directives:
                    hint = "do [proxy] directives catch /.teal-…, which Teal asks? leave that path out of them"
                message = f"nginx was reloaded, but does not serve {route.app}: {why}; Teal took the change back"
                raise CannotRun(message, _complaints_after(log_size), hint)
            time.sleep(_PAUSE_S)


LINK_TO = "-> "  # begins the content of a symbolic link


def restored(agreed: Footprint) -> "Dict[Path, Optional[str]]":
    """The welcome page that gave way, as a change."""
    page = agreed.gave_way
    if page is None or Path(page.link).is_symlink() or Path(page.link).exists() or _has_no_port(page):
        return {}
    return {Path(page.link): f"{LINK_TO}{page.target}"}


def _has_no_port(page: WelcomePage) -> bool:
    """Would nginx not start with this page, because another program has the page's port?"""
    text = files.text_of(Path(page.link).parent / page.target) or ""
    ports = {int(port) for port in re.findall(r"^\s*listen\s+(?:\S*:)?([0-9]{1,5})\b", text, re.MULTILINE)}
    program = nginx_program.find()
    own = program.socket_inodes if program else set()
    return any(listeners.is_taken(port, own) for port in ports)


def _why_not_served(route: Route) -> Optional[str]:
    """After a reload: an nginx that gives no answer yet may give one later."""
    try:
        return effect.why_not_served(route)
    except CannotRun as problem:
        return problem.message


def _complaints_after(size: int) -> List[str]:
    """What nginx has written into its log since then about not doing as it was told, such as a port that is taken."""
    with contextlib.suppress(OSError), _ERROR_LOG.open("rb") as log:
        log.seek(size)
        lines = [line for line in log.read(_MOST_LOG).decode(errors="replace").splitlines() if "[emerg]" in line]
        return list(dict.fromkeys(line.partition("[emerg] ")[2] for line in lines))[-3:]
    return []


def running() -> NginxProgram:
    """Raises BadRequest if this server has no nginx."""
    program = nginx_program.find()
    if program is None:
        raise BadRequest("there is no nginx on this server", hint="teal setup")
    return program


def _content_of(path: Path) -> Optional[str]:
    target = files.link_target(path)
    return f"{LINK_TO}{target}" if target else files.text_of(path)


def _make_all(changes: "Dict[Path, Optional[str]]") -> None:
    """Removes files before it writes others, so that a kill at any moment leaves no two default sites."""
    for path, content in sorted(changes.items(), key=lambda change: change[1] is not None):
        _make(path, content)


def _make(path: Path, content: Optional[str]) -> None:
    if content is None:
        files.remove(path)
    elif content.startswith(LINK_TO):
        files.turn_link(path, content[len(LINK_TO) :])
    else:
        files.make_dir(path.parent)
        files.write(path, content, SITE_MODE if path.name.startswith("teal-") else 0o644)


def _hint(refused: str, changes: "Dict[Path, Optional[str]]") -> str:
    is_changed = any(refused.startswith(f"{path}:") for path in changes)
    return CHANGE_DIRECTIVES if is_changed else MEND


def _name_of_this_machine() -> str:
    return next(iter(sockets.addresses()), None) or socket.gethostname()
