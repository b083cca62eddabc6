"""One nginx of the user's own for all local apps: without root, on loopback, outliving the command that started it."""

import contextlib
import os
import re
import resource
import signal
import time
from functools import cached_property
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Set, Tuple

from teal_host.ground import files, processes, sockets, trees
from teal_host.ground.errors import BadRequest, CannotRun
from teal_host.ground.http_probe import Address
from teal_host.ground.processes import Life
from teal_host.ground.remedies import CHANGE_DIRECTIVES
from teal_host.ground.run import run, send_signal_if, signal_life
from teal_host.proxies.nginx import effect, listeners
from teal_host.proxies.nginx import site as nginx_site
from teal_host.proxies.nginx.directives import explain_refused_directive
from teal_host.proxies.nginx.log import fallback_log
from teal_host.proxies.nginx.main_file import MainFile, main_text
from teal_host.proxies.nginx.parts.parameters import SiteLog
from teal_host.proxies.nginx.parts.quoting import quoted
from teal_host.proxies.nginx.program import OLDEST
from teal_host.state.route import Route
from teal_host.wire.app import Site

_IN_EFFECT_S = 10.0
_PAUSE_S = 0.02


class LocalNginx:
    """A Proxy. `program` is the nginx to run, which the client found; None if the client found none."""

    def __init__(self, home: Path, program: Optional[str]) -> None:
        self._home = home
        self._program = program
        self._sites = home / "sites"
        self._conf = home / "nginx.conf"

    # --- the seam -----------------------------------------------------------------------------------------------

    def check_site(self, site: Site) -> None:
        self._check_version()
        quoted(self._home)
        own = sockets.sockets_of(self._pids())
        listeners.check_is_free([self._listen(site)], own)

    def try_route(self, route: Route, others: Sequence[Route]) -> None:
        """nginx tries another nginx of the same sites, in a folder of its own. What it has taken before, it takes."""
        if files.text_of(self._site(route.app)) == self._site_text(route):
            return
        with files.scratch(None, "sites", "temp") as folder:
            trial = LocalNginx(folder, self._program)
            for name in files.names_in(self._sites):
                files.write_scratch(trial._sites / name, files.text_of(self._sites / name) or "")
            trial._try(route, others)

    def serve(self, route: Route, others: Sequence[Route]) -> bool:
        text, path = self._site_text(route), self._site(route.app)
        if files.text_of(path) == text and self._is_in_effect(route):
            return False
        before = files.text_of(path)
        self._make_home()
        files.write(path, text)
        self._write_main([*others, route])
        try:
            self._load(route)
        except CannotRun as error:
            self._put_back(path, before, others)
            output = "\n".join(error.evidence)
            raise explain_refused_directive(route, text, path, output) or error from None
        return True

    def remove(self, app: str, others: Sequence[Route]) -> None:
        files.remove(self._site(app))
        if not any(self._sites.glob("teal-*.conf")):
            self._end()
        elif self._master():
            self._write_main(others)
            self._reload()
        if self._home.is_dir():
            files.remove(self.log_of(app))
            files.remove(self.fallback_log_of(app))

    def serves(self, route: Route) -> bool:
        return effect.why_not_served(route) is None

    def address(self, site: Site) -> Tuple[str, int]:
        return listeners.address(site)

    def closed(self, at: Address) -> None:
        """It has the rights of whoever deploys, whose the programs are, too."""

    def url(self, route: Route) -> str:
        return listeners.url(route, listeners.LOOPBACK)

    def log_of(self, app: str) -> Path:
        return self._home / f"teal-{app}.watched"

    def fallback_log_of(self, app: str) -> Path:
        return fallback_log(self.log_of(app))

    def quiet(self, site: Site) -> bool:
        return listeners.is_quiet(self._master(), site)

    # --- nginx and its files ------------------------------------------------------------------------------------------

    def _try(self, route: Route, others: Sequence[Route]) -> None:
        """Raises BadRequest in nginx's own words. Only for a folder that does not last."""
        text, path = self._site_text(route), self._site(route.app)
        files.write_scratch(path, text)
        files.write_scratch(self._conf, self._main_text([*others, route]))
        try:
            self._check_configuration()
        except CannotRun as error:
            if not error.evidence:  # nginx did not run to its end, so it refused nothing
                raise
            output = "\n".join(error.evidence)
            hint = CHANGE_DIRECTIVES if route.rules.directives else ""
            refused = BadRequest("nginx would refuse the site of this app", error.evidence, hint)
            raise explain_refused_directive(route, text, path, output) or refused from None

    def _site_text(self, route: Route) -> str:
        return nginx_site.site_text(route, [self._listen(route.site)], SiteLog(self.log_of(route.app)))

    def _load(self, route: Route) -> None:
        self._check_configuration()
        if self._master():
            self._reload()
        else:
            self._start()
        self._wait_for(lambda: self._is_in_effect(route), f"nginx does not serve {route.app}")

    def _is_in_effect(self, route: Route) -> bool:
        """Where nginx gives no answer, a reload is what is left to try."""
        with contextlib.suppress(CannotRun):
            return self.serves(route)
        return False

    def _put_back(self, path: Path, before: Optional[str], others: Sequence[Route]) -> None:
        """The files become what they were. nginx accepted the other routes before, so Teal does not check again."""
        if before is None:
            files.remove(path)
        else:
            files.write(path, before)
        self._write_main(others)
        if not any(self._sites.glob("teal-*.conf")):
            self._end()
        elif self._master():
            self._reload()

    def _write_main(self, routes: Sequence[Route]) -> None:
        text = self._main_text(routes)
        if files.text_of(self._conf) != text:
            files.write(self._conf, text)

    def _main_text(self, routes: Sequence[Route]) -> str:
        served = [route for route in routes if self._site(route.app).exists()]
        listens = {self._listen(route.site) for route in served}
        defaults = {self._listen(route.site) for route in served if not route.site.domains}
        main = MainFile(self._home, os.geteuid() == 0, self._version >= (1, 27, 4), _files_allowed())
        return main_text(main, sorted(listens - defaults))

    def _make_home(self) -> None:
        files.make_dir(self._home, 0o700)
        for path in (self._sites, self._home / "temp"):
            files.make_dir(path)

    def _check_configuration(self) -> None:
        checked = run([*self._argv(), "-t"], deadline_s=20)
        if checked.code:
            raise CannotRun("nginx refuses the configuration", _complaints(checked.lines))

    def _start(self) -> None:
        started = run(self._argv(), deadline_s=20)
        if started.code:
            raise CannotRun("nginx does not start", _complaints(started.lines))

    def _reload(self) -> None:
        master = self._master()
        if master:
            send_signal_if(master, signal.SIGHUP, lambda: self._master() == master)

    def _end(self) -> None:
        """No app remains: nginx ends and its files go. SIGQUIT lets requests end; after that Teal ends nginx."""
        for number in (signal.SIGQUIT, signal.SIGTERM, signal.SIGKILL):
            master = self._master()
            for life in self._lives():
                if life.pid == master or number == signal.SIGKILL:
                    signal_life(life, number)
            with contextlib.suppress(CannotRun):
                self._wait_for(lambda: not self._pids(), "nginx does not end", 5.0)
                break
        trees.remove(self._home)

    def _wait_for(self, condition: Callable[[], bool], complaint: str, seconds: float = _IN_EFFECT_S) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                log = files.text_of(self._home / "error.log") or ""
                raise CannotRun(complaint, log.splitlines()[-5:])
            time.sleep(_PAUSE_S)

    def _argv(self) -> List[str]:
        log = ["-e", str(self._home / "error.log")] if self._version >= (1, 19, 5) else []
        return [self._executable(), "-p", f"{self._home}/", "-c", str(self._conf), *log]

    def _executable(self) -> str:
        if self._program is None:
            raise BadRequest(
                "there is no nginx on this machine",
                hint="install it (apt install nginx), or: pip install 'teal-deploy[local]'",
            )
        return self._program

    @cached_property
    def _version(self) -> Tuple[int, ...]:
        output = run([self._executable(), "-v"], deadline_s=10).output
        version = re.search(r"nginx/([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})", output)
        return tuple(int(part) for part in version.groups()) if version else (0,)

    def _check_version(self) -> None:
        """Raises BadRequest before the upload, not at the switch, if nginx is missing or too old."""
        if self._version < OLDEST:
            hint = "put nginx 1.18 or newer before it on the PATH"
            raise BadRequest(f"{self._program} is not nginx 1.18 or newer", hint=hint)

    def _master(self) -> Optional[int]:
        with contextlib.suppress(OSError, ValueError):
            pid = int((self._home / "nginx.pid").read_text())
            title = processes.command_line(pid)  # an editor may have the file open, too
            is_master = title.startswith("nginx: master process ") and str(self._conf) in title
            if is_master and self._is_of_this_user(pid) and processes.life(pid):
                return pid
        return None

    def _is_of_this_user(self, pid: int) -> bool:
        """A title proves nothing: after a reboot the number in the file may belong to another user's process."""
        return processes.uids(pid) == (os.geteuid(),) * 4

    def _pids(self) -> Set[int]:
        """The master and its workers, which are of its session."""
        master = self._master()
        pids = set() if master is None else {master, *processes.session(master)}
        return pids if self._master() == master else set()  # else the session may be another's

    def _lives(self) -> List[Life]:
        """Read between two looks, so that none is a stranger with a number that has become free."""
        lives = list(map(processes.life, self._pids()))
        still = self._pids()
        return [life for life in lives if life and life.pid in still]

    def _site(self, app: str) -> Path:
        return self._sites / f"teal-{app}.conf"

    def _listen(self, site: Site) -> str:
        return listeners.on_loopback(site.http_port)


def _files_allowed() -> int:
    """An ordinary user may raise the limit up to the hard limit. nginx warns if it has more connections than files."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return MainFile.files if hard == resource.RLIM_INFINITY else min(MainFile.files, hard)


def _complaints(lines: Sequence[str]) -> List[str]:
    """nginx's own words, without the lines that only name a file that nginx read."""
    grave = [line[line.index("[") :] for line in lines if "[emerg]" in line or "[alert]" in line]
    return list(dict.fromkeys(grave))[:5] or list(lines[-5:])
