"""One app on a booted server, which the tests of a module share. Each test deploys what it needs."""

import itertools
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import harness
from harness import Server
from harness.ssh_access import one_login, run
from harness.world import App, at_server, wait_until
from teal.config.read import ConfigFile, load
from teal.stories import deploy, queries
from teal.stories.result_json import Account
from teal.ui.plain import Quiet
from teal_host.wire.reports import ReleaseRow, StatusReport

QUICK: dict[str, Any] = {"run": {"data": True}, "health": {"successes": 1}}


class Shop:
    def __init__(self, server: Server, app: App) -> None:
        self.server = server
        self.app = app
        self._count = itertools.count(1)

    # --- acts -------------------------------------------------------------------------------------------------------

    def config(self, **changes: Any) -> None:
        """Writes teal.toml: quick settings with these changes."""
        self.app.config(**{key: {**QUICK.get(key, {}), **changes.get(key, {})} for key in QUICK | changes})

    def new_version(self, **behaviour: Any) -> str:
        version = f"v{next(self._count)}"
        self.app.program(version=version, **behaviour)
        return version

    def new_large_version(self, size: int, **behaviour: Any) -> str:
        """Writes a version with `size` bytes beside the program that no compression makes smaller."""
        version = self.new_version(**behaviour)
        folder = self.app.directory / "dist"
        folder.mkdir(exist_ok=True)
        (self.app.directory / "program").rename(folder / "program")
        (folder / "large").write_bytes(os.urandom(size))
        self.config(build={"artifact": "dist"})
        return version

    def deployed(self, **behaviour: Any) -> str:
        """Deploys a new version. The release that was live becomes the standby."""
        self.config()
        version = self.new_version(**behaviour)
        with self._as_client() as file:
            assert deploy.deploy(file, deploy.DeployOptions(), Quiet(), Account()).outcome == "live"
        return version

    def serving(self) -> str:
        """The version that is live and healthy. The first test deploys one."""
        self.config()
        if not (self.server.root / "var/lib/teal/shop/live").is_symlink():
            return self.deployed()
        wait_until(self._is_well)  # the previous test may have ended the program
        return str(self.app.get()["version"])

    def _is_well(self) -> bool:
        try:
            return bool(self.app.get("/healthz") == {"message": "ok"})
        except (OSError, ValueError):
            return False

    def kill(self, color: str, number: str = "KILL") -> None:
        run(self.server, "kill", f"-{number}", str(self.pid(color)))

    def kill_server_side(self, number: str = "KILL") -> None:
        """Signals the process that holds the lock of the app."""
        note = json.loads((self.server.root / "var/lib/teal/shop/lock").read_text())
        run(self.server, "kill", f"-{number}", str(note["pid"]))

    def end_for_want_of_memory(self, color: str) -> None:
        """Kills the program as systemd-oomd does: counts at the cgroup, then SIGKILL. systemd reports it as a kill by
        the kernel.
        """
        group = f"/sys/fs/cgroup{self.shown(color, 'ControlGroup')}"
        names = ("user.oomd_ooms", "user.oomd_kill")
        counts = "; ".join(f"os.setxattr({group!r}, {name!r}, b'1')" for name in names)
        run(self.server, "python3", "-c", f"import os; {counts}; os.kill({self.pid(color)}, 9)")

    def ask_directly(self, color: str, path: str) -> None:
        """Sends a request to the color itself, not through nginx, and ignores the answer."""
        port = self.app.status()["colors"][color]["port"]
        ask = f"exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3; true"
        run(self.server, "bash", "-c", ask)

    @contextmanager
    def drop_in(self, text: str) -> Iterator[None]:
        """Adds an admin's lines to the unit for the length of the block."""
        folder = self.server.root / "etc/systemd/system/teal-shop@.service.d"
        folder.mkdir()
        (folder / "own.conf").write_text(f"[Service]\n{text}\n")
        run(self.server, "systemctl", "daemon-reload")
        try:
            yield
        finally:
            shutil.rmtree(folder)
            run(self.server, "systemctl", "daemon-reload")

    # --- looking ----------------------------------------------------------------------------------------------------

    @property
    def live(self) -> str:
        """The color that the live link names."""
        return (self.server.root / "var/lib/teal/shop/live").readlink().name

    @property
    def standby(self) -> str:
        return "green" if self.live == "blue" else "blue"

    def pid(self, color: str) -> int:
        return int(self.shown(color, "MainPID"))

    def shown(self, color: str, name: str) -> str:
        return run(self.server, "systemctl", "show", f"--property={name}", "--value", f"teal-shop@{color}").strip()

    def oom_score(self, color: str) -> int:
        return int(run(self.server, "cat", f"/proc/{self.pid(color)}/oom_score_adj"))

    def release(self, color: str) -> str:
        return (self.server.root / f"var/lib/teal/shop/{color}/release").readlink().name

    def outcome(self, release: str) -> str:
        return str(json.loads((self.server.root / f"var/lib/teal/shop/records/{release}.json").read_text())["outcome"])

    def answers(self, version: str) -> bool:
        try:
            return bool(self.app.get()["version"] == version)
        except (OSError, ValueError):
            return False

    def status(self) -> StatusReport:
        """The status, asked for by this process, which is faster than a client of its own."""
        with self._as_client() as file:
            return queries.status(file)

    def wait_for_no_notes(self) -> None:
        """Waits until no command is at work, and none is left interrupted."""
        wait_until(lambda: not self.status().notes, pause_s=0.3)

    def releases(self) -> tuple[ReleaseRow, ...]:
        with self._as_client() as file:
            return queries.releases(file).releases

    @contextmanager
    def _as_client(self) -> Iterator[ConfigFile]:
        """This process finds ssh and its homes as a client of the world does."""
        with pytest.MonkeyPatch.context() as patch:
            for name in ("PATH", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
                patch.setenv(name, self.app.world.env[name])
            yield load(self.app.directory)

    def check_serves(self, *versions: str) -> str:
        """Checks that one of these versions answers, and that the link, the status and systemd agree."""
        wait_until(lambda: any(self.answers(version) for version in versions))
        answer = self.app.get()
        self._check_answer(answer, self.status(), versions)
        return str(answer["version"])

    def _check_answer(self, answer: dict[str, Any], report: StatusReport, versions: Sequence[str]) -> None:
        assert answer["version"] in versions
        assert (answer["color"], report.live) == (self.live, self.live)
        live = report.colors[answer["color"]]
        assert (live.release, live.state) == (answer["release"], "running")
        assert live.pid == answer["pid"] == self.pid(self.live)

    def check_settled(self, version: str) -> None:
        """Checks that the version serves, and that nothing is left of an interrupted command."""
        wait_until(lambda: self.answers(version))
        report = self.status()
        self._check_answer(self.app.get(), report, [version])
        assert list(report.notes) == []
        assert "pending" not in {row.outcome for row in self.releases()}
        home = self.server.root / "var/lib/teal/shop"
        assert [path for path in home.rglob(".*") if path.name.startswith((".partial", ".live"))] == []
        boot = self.server.root / "etc/systemd/system/multi-user.target.wants"
        assert [path.name for path in boot.glob("teal-*@*")] == [f"teal-shop@{self.live}.service"]


@contextmanager
def open_shop(debian: int, folder: Path) -> Iterator[Shop]:
    with harness.server(debian, folder, packages=["nginx", "sudo"]) as server, one_login(server) as config:
        app = at_server(folder / "home", server, config).app("shop")
        shop = Shop(server, app)
        shop.config()
        app.teal("setup").ok()
        yield shop
