"""The machine's nginx, which serves other sites too. A deploy only looks: the app's route was written by setup.

So a deploy reloads nothing, and a configuration of somebody else's that is broken does not stand in its way.
"""

import socket
import time
from pathlib import Path
from typing import Dict, Optional, Sequence, Tuple

from teal_host.ground import files, sockets
from teal_host.ground.errors import BadRequest, CannotRun, NeedsHuman
from teal_host.ground.http_probe import NoAnswer, ProbeRequest, http_get
from teal_host.ground.paths import HostPaths
from teal_host.proxies.nginx import program as nginx_program
from teal_host.proxies.nginx import site as nginx_site
from teal_host.proxies.nginx.program import NginxProgram
from teal_host.state import footprint
from teal_host.state.footprint import Footprint
from teal_host.state.route import Route
from teal_host.wire.app import Site

HERE = "127.0.0.1"
LOGS = Path("/var/log/nginx")
_IN_EFFECT_S = 15.0
_LOOK_EVERY_S = 0.02


class SystemNginx:
    """A Proxy."""

    def __init__(self, host: HostPaths) -> None:
        self._host = host

    def check_site(self, site: Site) -> None:
        found = nginx_program.find()
        if found is None:
            raise BadRequest("there is no nginx on this server any more", hint="teal setup")
        if found.master is None:
            hint = "systemctl start nginx (and if it does not start: teal doctor)"
            raise NeedsHuman("nginx does not run on this server, so no site of it is served", hint=hint)

    def serve(self, route: Route, others: Sequence[Route]) -> bool:
        """Never changes anything: `establish` is for setup."""
        if not self.serves(route):
            hint = "teal doctor tells more; teal setup puts it right"
            raise CannotRun(f"nginx does not serve {route.app} as setup agreed", hint=hint)
        return False

    def remove(self, app: str, others: Sequence[Route]) -> None:
        """The route goes, and a welcome page that gave way to it comes back."""
        agreed = footprint.load(self._host.app(app))
        if agreed.nginx is None:
            return
        self.change({Path(agreed.nginx): None, **restored(agreed)})
        files.remove(self.log_of(app))

    def serves(self, route: Route) -> bool:
        return self._instead(route) is None

    def _instead(self, route: Route) -> Optional[str]:
        """What nginx says where it should say that it serves exactly this route; None when it does."""
        question = ProbeRequest(self.address(route.site), f"/.teal-{route.token}", route.site.host, timeout_s=2)
        try:
            answer = http_get(question)
        except NoAnswer as none:
            return str(none)
        if answer.status == 200 and answer.body.decode(errors="replace") == nginx_site.generation(route):
            return None
        return f"it answers {answer.status} where Teal asks whether it does"

    def address(self, site: Site) -> Tuple[str, int]:
        return (HERE, site.http_port)

    def url(self, site: Site) -> str:
        port = "" if site.http_port == 80 else f":{site.http_port}"
        return f"http://{site.domains[0] if site.domains else _name_of_this_machine()}{port}/"

    def log_of(self, app: str) -> Path:
        """Beside nginx's own, without which it would not start: a folder of Teal's that is lost must stop no site."""
        return LOGS / f"teal-{app}.watched"

    def quiet(self, site: Site) -> bool:
        return sockets.connections(site.http_port) == 0

    # --- for setup and destroy ------------------------------------------------------------------------------------

    def establish(self, route: Route, changes: "Dict[Path, Optional[str]]") -> None:
        """Put these files in place of what is there (None: nothing) and wait until nginx serves the route.

        All of it or nothing: what nginx refuses, or does not put into effect, is taken back.
        """
        before = self.change(changes)
        try:
            self._wait_for(route)
        except CannotRun:
            self.change(before)
            raise

    def change(self, changes: "Dict[Path, Optional[str]]") -> "Dict[Path, Optional[str]]":
        """Gives what was there. nginx looks at the whole first, and what it refuses is put back. Raises BadRequest."""
        program = nginx_program.find()
        before = {path: _as_is(path) for path in changes}
        _make_all(changes)
        refused = program.refuses() if program else None
        if refused:
            _make_all(before)
            raise BadRequest("nginx refuses the change, so nothing was changed", [refused], _hint(refused, changes))
        if program:
            program.reload()
        return before

    def _wait_for(self, route: Route) -> None:
        """It may have to be started first. Raises CannotRun when it does not come to serve the route."""
        program = running()
        if program.master is None:
            program.start()
        deadline = time.monotonic() + _IN_EFFECT_S
        while (instead := self._instead(route)) is not None:
            if time.monotonic() > deadline:
                hint = "look into /var/log/nginx/error.log"
                if route.rules.directives:
                    hint = "do [proxy] directives catch /.teal-…, which Teal asks? leave that path out of them"
                says = f"nginx was reloaded, but does not serve {route.app}: {instead}; taken back"
                raise CannotRun(says, hint=hint)
            time.sleep(_LOOK_EVERY_S)


LINK_TO = "-> "  # a content that is a link


def restored(agreed: Footprint) -> "Dict[Path, Optional[str]]":
    """The welcome page that gave way, as a change."""
    gone = agreed.gave_way
    if gone is None or Path(gone.link).is_symlink() or Path(gone.link).exists():
        return {}
    return {Path(gone.link): f"{LINK_TO}{gone.target}"}


def running() -> NginxProgram:
    """Raises BadRequest when there is none."""
    found = nginx_program.find()
    if found is None:
        raise BadRequest("there is no nginx on this server", hint="apt install nginx")
    return found


def _as_is(path: Path) -> Optional[str]:
    return f"{LINK_TO}{path.readlink()}" if path.is_symlink() else files.text_of(path)


def _make_all(changes: "Dict[Path, Optional[str]]") -> None:
    """What goes before what comes, so that there are never two default sites, whenever this side is killed."""
    for path, content in sorted(changes.items(), key=lambda change: change[1] is not None):
        _make(path, content)


def _make(path: Path, content: Optional[str]) -> None:
    if content is None:
        files.remove(path)
    elif content.startswith(LINK_TO):
        files.turn_link(path, content[len(LINK_TO) :])
    else:
        files.make_dir(path.parent)
        files.write(path, content)


def _hint(refused: str, changes: "Dict[Path, Optional[str]]") -> str:
    ours = any(refused.startswith(f"{path}:") for path in changes)
    return "look at [proxy] directives in teal.toml" if ours else "mend that file, then try again"


def _name_of_this_machine() -> str:
    return next(iter(sockets.addresses()), None) or socket.gethostname()
