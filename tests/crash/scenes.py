"""An app with a history, commands whose server side is ended on purpose, and what must hold afterwards."""

import functools
import re
import shutil
import subprocess
import urllib.error
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from crash.killed_host import ENDED
from harness import compiled
from harness.world import PATIENCE_S, App, refuses, wait_until
from teal.config.read import load
from teal.ground import run
from teal.ground.errors import TealError
from teal.stories import deploy, queries, secrets
from teal.stories.destroy import DestroyOptions, destroy
from teal.stories.result_json import Account
from teal.stories.rollback import RollbackOptions, rollback
from teal.transports import Transport, choose
from teal.ui.plain import Quiet
from teal_host.ground import processes
from teal_host.ground.paths import HostPaths
from teal_host.provisioning.local import LocalProvisioning
from teal_host.proxies.local_nginx import LocalNginx
from teal_host.state.app import App as HostApp
from teal_host.state.app import Host
from teal_host.stories import status
from teal_host.supervisors.process import PlainProcesses
from teal_host.wire.messages import Result
from teal_host.wire.reports import ReleaseRow, StatusReport

HOST = Path(__file__).parent / "killed_host.py"
NEVER = "never"
Counted = Callable[..., None]  # the fixture `counted`
UNANNOUNCED = ("os.rename ", "os.symlink ", "os.mkdir ")  # only removals inside the removal of a tree are not announced
QUICK: dict[str, Any] = {
    "health": {"successes": 1},
    "run": {"data": True},
    "keep": {"releases": 2, "watch_s": 0, "drain_s": 0},
}


@dataclass(frozen=True)
class Run:
    """The acts of a command, whether its server side was ended, and what its client reported."""

    acts: tuple[str, ...]
    was_ended: bool
    result: Result | None = None
    error: TealError | None = None

    @property
    def exit_code(self) -> int:
        return self.error.exit_code if self.error else 0

    @property
    def outcome(self) -> str:
        return self.result.outcome if self.result else ""


class Scene:
    """One app, its versions v1, v2, …, and the commands on the app."""

    def __init__(self, app: App, patch: pytest.MonkeyPatch) -> None:
        self.app = app
        self._count = 0
        self._files = 0
        patch.setenv("XDG_STATE_HOME", str(app.world.home / "state"))
        patch.setenv("XDG_CACHE_HOME", str(app.world.home / "cache"))
        (app.world.home / "compiled").write_bytes(table())

    # --- commands -----------------------------------------------------------------------------------------------

    def new_version(self, **behaviour: Any) -> str:
        """Writes the next version of the program."""
        self._count += 1
        version = f"v{self._count}"
        self.app.program(version=version, **behaviour)
        self._fill_tree(version)
        return version

    def ship_a_tree(self, files: int, **changes: Any) -> None:
        """Makes the artifact a directory with this many files beside the program."""
        self._files = files
        self.app.config(**{**QUICK, "build": {"artifact": "tree"}, **changes})

    def _fill_tree(self, version: str) -> None:
        tree = self.app.directory / "tree"
        for number in range(self._files):
            path = tree / f"part{number % 3}" / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{version} {number}")
        if self._files:
            shutil.copy(self.app.directory / "program", tree / "program")

    def deploy_new(self) -> str:
        """Deploys a new version, undisturbed."""
        version = self.new_version()
        run = self.deploy(NEVER)
        assert run.error is None, run.error
        return version

    def deploy(self, when: str, number: str = "SIGKILL", evict: bool = False) -> Run:
        file, account, options = load(self.app.directory), Account(), deploy.DeployOptions(evict=evict)
        return self._run(when, number, lambda: deploy.deploy(file, options, Quiet(), account))

    def rollback(self, when: str, number: str = "SIGKILL", to: str | None = None) -> Run:
        file, account = load(self.app.directory), Account()
        return self._run(when, number, lambda: rollback(file, RollbackOptions(to), Quiet(), account))

    def destroy(self, when: str) -> Run:
        file = load(self.app.directory)
        return self._run(when, "SIGKILL", lambda: destroy(file, DestroyOptions(), Quiet()))

    def env_set(self, when: str, name: str, value: str) -> Run:
        file = load(self.app.directory)
        return self._run(when, "SIGKILL", lambda: secrets.set_secret(file, secrets.Secret(name, value), 0, Quiet()))

    def _run(self, when: str, number: str, story: Callable[[], object]) -> Run:
        """Runs the client's own story; only the Python of the transport is another."""
        acts = self.app.world.home / "acts"
        acts.unlink(missing_ok=True)
        result, error = None, None
        with self._harnessed(acts, when, number) as patch, server_sides_end(patch):
            try:
                story_result = story()
                result = story_result if isinstance(story_result, Result) else None
            except TealError as raised:
                error = raised
        names = acts.read_text().splitlines() if acts.exists() else []
        return Run(tuple(name for name in names if name != ENDED), ENDED in names, result, error)

    @contextmanager
    def _harnessed(self, acts: Path, when: str = NEVER, number: str = "SIGKILL") -> Iterator[pytest.MonkeyPatch]:
        """In this block, the server side of a command is ended at this moment."""

        def harnessed(target: str) -> Transport:
            chosen = choose(target)
            return replace(chosen, python=(*chosen.python, str(HOST), str(acts), when, number))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("teal.pipe.open.choose", harnessed)
            yield patch

    # --- looking ------------------------------------------------------------------------------------------------

    def status(self) -> StatusReport:
        """The status, as `teal status` gets it through the pipe."""
        with self._harnessed(self.app.world.home / "acts of queries"):
            return queries.status(load(self.app.directory))

    def releases(self) -> tuple[ReleaseRow, ...]:
        with self._harnessed(self.app.world.home / "acts of queries"):
            return queries.releases(load(self.app.directory)).releases

    def _on_the_host(self) -> HostApp:
        """The app as the server side sees it, to read its state without a pipe, which is faster."""
        paths = HostPaths(self.app.world.root)
        proxy = LocalNginx(paths.nginx, None)
        return Host(paths, PlainProcesses(), proxy, LocalProvisioning(paths, proxy), lambda message: None).app(
            self.app.name
        )

    def check_serves(self, *versions: str) -> str:
        """Checks that one of these versions answers now, and that the link, the status and the process agree."""
        answer = self.app.get()
        self._check_answer(answer, self.status(), versions)
        assert self.app.get()["pid"] == answer["pid"]
        return str(answer["version"])

    def _check_answer(self, answer: dict[str, Any], report: StatusReport, versions: Sequence[str]) -> None:
        assert answer["version"] in versions
        assert report.live == answer["color"] == (self.app.state / "live").readlink().name
        live = report.colors[answer["color"]]
        assert (live.release, live.state, live.pid) == (answer["release"], "running", answer["pid"])
        for color in report.colors.values():
            assert (color.state == "running") == (color.pid is not None)
            assert color.pid is None or processes.life(color.pid)

    def check_settled(self, *versions: str, standby_ended: bool = False) -> None:
        """After an undisturbed command: checks that the version serves, and that nothing of an interrupted command is
        left. A destroy that was killed may have ended the standby, which the status then says.
        """
        app = self._on_the_host()
        report = status.status(app)
        self._check_answer(self.app.get(), report, versions)
        assert [note for note in report.notes if not (standby_ended and "no longer stands by" in note)] == []
        assert app.journal.unfinished() is None
        self._check_processes(report)
        self._check_releases(report, status.list_releases(app).releases)
        assert self.leftovers() == []

    def _check_processes(self, report: StatusReport) -> None:
        """Checks that only the colors' programs and nginx run. A child of a killed process may need a moment to end."""
        nginx = int((self.app.world.root / "etc/nginx/nginx.pid").read_text())
        expected = {color.pid for color in report.colors.values() if color.pid} | {nginx}
        wait_until(lambda: set(self.app.world.processes()) <= expected)
        assert set(self.app.world.processes()) == expected

    def _check_releases(self, report: StatusReport, rows: tuple[ReleaseRow, ...]) -> None:
        """Checks that every release has an outcome, and that stored releases are whole and known."""
        assert all(row.outcome != "pending" for row in rows)
        assert [(row.outcome, row.color) for row in rows if row.live] == [("live", report.live)]
        stored = {path.name for path in (self.app.state / "releases").iterdir() if not may_go_on(path.name)}
        assert stored == {row.release for row in rows if row.stored}
        assert all((self.app.state / "releases" / name / "program").is_file() for name in stored)

    def leftovers(self) -> list[str]:
        """The temporary files, and the uploads that did not arrive."""
        root = self.app.world.root
        return [str(path.relative_to(root)) for path in root.rglob(".*") if is_unfinished(path.name)]

    def check_gone(self) -> None:
        """Checks that destroy left no process, no file and no port."""
        wait_until(lambda: self.app.world.processes() == [])
        assert not self.app.world.root.exists()
        assert all(refuses(port) for port in self.app.ports)

    def serves_nothing(self) -> bool:
        try:
            self.app.get()
        except urllib.error.HTTPError:
            raise
        except OSError:
            return True
        return False


@functools.cache
def table() -> bytes:
    return compiled.table()


@contextmanager
def server_sides_end(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """At the end of the block, waits for the server sides that the block started: a client may leave one to finish
    alone.
    """
    started: list[subprocess.Popen[bytes]] = []
    open_pipe = run.open_pipe

    def remembered(argv: Sequence[str], own_session: bool, errors: int | None = None) -> "subprocess.Popen[bytes]":
        started.append(open_pipe(argv, own_session, errors))
        return started[-1]

    patch.setattr(run, "open_pipe", remembered)
    yield
    for program in started:
        program.wait(PATIENCE_S)


def may_go_on(name: str) -> bool:
    """Whether this is an interrupted upload, which is kept for the next try and is no release."""
    return name.startswith(".upload-")


def is_unfinished(name: str) -> bool:
    return name.endswith(".tmp") or name.startswith(".partial-")


def at_each_act(round_: Callable[[str], Run], counted: Counted, at_least: int, every: int = 1) -> list[str]:
    """Disturbs act 1, 2, 3 … until a round is not hit. Returns the names of all acts.

    With `every`, disturbs only every third or so, where another test disturbs all acts in the same way.
    """
    names: list[str] = []
    while True:
        run = round_(f"act {every * len(names) + 1}")
        if not run.was_ended:
            break
        names.append(plain(run.acts[-1]))
    counted(acts=len(names))
    print(f"{', '.join(names)}")
    assert every * len(names) >= at_least
    assert every > 1 or set(names) == {plain(act) for act in run.acts}, "an act came that was never disturbed"
    assert not [name for name in names if name.startswith(UNANNOUNCED)], "a change was not announced"
    return names


def plain(act: str) -> str:
    """The name of an act, without the parts that differ from round to round."""
    act = re.sub(r"\d{4}-[0-9a-f]{12}", "RELEASE", act)
    act = re.sub(r"\.upload-[0-9a-f]{64}", ".upload-DIGEST", act)
    return re.sub(r"\b(blue|green)\b", "COLOR", act)
