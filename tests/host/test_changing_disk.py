"""Queries wait for no other command, so another one may change the disk between any two looks of theirs.

At 1f740d8 most queries ended with `the system says: No such file or directory` where a destroy came between two looks.
"""

import errno
import io
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

from power.stories import APP, SPEC, Machine, Upload, manifest
from teal_host.checks import marker, owner, room
from teal_host.checks.base import Visit
from teal_host.ground import ownership
from teal_host.ground.errors import BadRequest, HostError, NotThere
from teal_host.ground.run import why
from teal_host.pipe.channel import Channel
from teal_host.preparations import account, server_side
from teal_host.preparations.change import DesiredFile
from teal_host.state import agreement, footprint, releases
from teal_host.state.key_policy import KeyPolicy
from teal_host.state.slots import read_slots
from teal_host.stories import deploy, destroy, doctor, logs, secrets, status
from teal_host.stories import exec as execs
from teal_host.wire import typed
from teal_host.wire.app import AppSpec, Ports
from teal_host.wire.manifest import Origin
from teal_host.wire.messages import Done
from teal_host.wire.requests import Deploy, Destroy, Doctor, Logs, Status

ROUNDS = 60
WANTED = typed.decode(AppSpec, SPEC)
PORTS = Ports(18081, 18082)
LOOKS: list[tuple[ModuleType, str]] = [
    *((os, name) for name in ("stat", "lstat", "readlink", "listdir", "scandir", "open", "listxattr", "statvfs")),
    (io, "open"),
]
# Renames whole directories, so that each change is done at once, as those of the server side are.
FLIPPING = """
import os, sys
now, *others = sys.argv[1:]
while True:
    for other in others:
        os.rename(now, now + "-aside"); os.rename(other, now)
        os.rename(now, other); os.rename(now + "-aside", now)
"""


@dataclass
class Changing:
    """A host with one release, which at some moment becomes a host on which a second one went live, or without one."""

    machine: Machine
    deployed: Path
    destroyed: Path

    @contextmanager
    def after(self, looks: int, other: Path) -> Iterator[list[int]]:
        """The host becomes the other one after so many looks at it. Gives the count of looks."""
        root, aside, seen = self.machine.root, self.machine.root.with_name("aside"), [0]

        def watched(look: Callable[..., Any]) -> Callable[..., Any]:
            def watching(*arguments: Any, **named: Any) -> Any:
                try:
                    return look(*arguments, **named)
                finally:
                    if arguments and str(arguments[0]).startswith(str(root)):
                        seen[0] += 1
                        if seen[0] == looks:
                            root.rename(aside)
                            other.rename(root)

            return watching

        try:
            with pytest.MonkeyPatch.context() as patch:
                for module, name in LOOKS:
                    patch.setattr(module, name, watched(getattr(module, name)))
                yield seen
        finally:
            if aside.exists():
                root.rename(other)
                aside.rename(root)


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Changing]:
    home = tmp_path_factory.mktemp("changing")
    machine, deployed, destroyed = Machine(home / "host"), home / "deployed", home / "destroyed"
    destroyed.mkdir()
    with machine.played():
        machine.deploy("v1")
        data = machine.app.paths.data
        data.mkdir(exist_ok=True)
        (data / "file").write_text("data")
        machine.app.host.paths.installed.parent.mkdir(parents=True)
        machine.app.host.paths.installed.write_text("a server side")
        shutil.copytree(machine.root, deployed, symlinks=True)
        machine.root.rename(home / "first")
        deployed.rename(machine.root)
        machine.deploy("v2")
        machine.root.rename(deployed)
        (home / "first").rename(machine.root)
        yield Changing(machine, deployed, destroyed)
    releases._READ.clear()


def looked_at_by_the_doctor(machine: Machine) -> Any:
    report = doctor.doctor(machine.app, Doctor(WANTED, time.time()))
    return [finding.message for finding in report.findings if "system says" in finding.message]


def looked_at_on_a_server(machine: Machine) -> Any:
    """What only the doctor, the plan of a setup and a deploy key look at there."""
    app, paths, none = machine.app, machine.app.paths, footprint.Footprint()
    agreed = agreement.Agreement(APP, WANTED.site, PORTS, "ab" * 16, user="root")
    seen = Visit(app, WANTED, 0.0, agreed, read_slots(paths), [], none)
    looks: list[Callable[[], Any]] = [
        lambda: list(owner.check(seen)),
        lambda: list(room.check(seen)),
        lambda: list(marker._directories(paths)),
        lambda: server_side._is_for_root_alone(app.host.paths),
        lambda: account.is_foreign(paths.data, none, "root"),
        lambda: account.Folder(paths.data, 0o700, "root").is_so,
        lambda: DesiredFile(paths, paths.color("blue").marker, "").is_so,
        lambda: list(footprint.others(app.host.paths, "other")),
        lambda: agreement.neighbors(app.host.paths, "other"),
        lambda: ownership.everybody_reaches(str(paths.live / "blue")),
        lambda: why(FileNotFoundError(errno.ENOENT, ""), "./program", paths.color("blue").release),
    ]
    return [look() for look in looks]


def planned(machine: Machine) -> Any:
    request = Deploy(WANTED, manifest("v3"), Origin(), uuid.uuid4().hex, dry_run=True)
    return deploy.deploy(machine.app, request, cast(Channel, Upload(b"")))


def noted(machine: Machine) -> Any:
    return KeyPolicy(APP, "ab" * 32).note(machine.app.host.paths, Status(APP), Done())


QUERIES: dict[str, Callable[[Machine], Any]] = {
    "status": lambda machine: machine.status(),
    "releases": lambda machine: status.list_releases(machine.app),
    "logs": lambda machine: logs.logs(machine.app, Logs(APP), lambda: True),
    "env list": lambda machine: secrets.list_secrets(machine.app),
    "exec": lambda machine: execs._live(machine.app),
    "destroy --dry-run": lambda machine: destroy.destroy(machine.app, Destroy(APP, Origin(), dry_run=True)),
    "deploy --dry-run": planned,
    "doctor": looked_at_by_the_doctor,
    "on a server": looked_at_on_a_server,
    "audit": noted,
}


def asked(query: str, machine: Machine) -> Any:
    """An answer, or that the app is not there; nothing else."""
    try:
        return QUERIES[query](machine)
    except (NotThere, BadRequest) as error:
        return error


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("event", ["destroyed", "deployed"])
def test_query_answers_when_the_disk_changes_between_two_of_its_looks(
    changing: Changing, query: str, event: str
) -> None:
    ends = {("blue", manifest("v1").digest[:12]), ("green", manifest("v2").digest[:12])}
    for looks in count(1):
        with changing.after(looks, getattr(changing, event)) as seen:
            answer = asked(query, changing.machine)
        if query == "status":
            assert answer.live is None or (answer.live, answer.colors[answer.live].release[5:]) in ends, looks
        if query == "exec" and event == "deployed":
            assert not isinstance(answer, HostError), (looks, answer)
        if query == "doctor":
            assert answer == [], looks
        if seen[0] < looks:
            assert looks > 1
            return


def test_queries_answer_while_another_process_changes_the_disk(changing: Changing) -> None:
    flipping = [
        sys.executable,
        "-c",
        FLIPPING,
        *map(str, (changing.machine.root, changing.deployed, changing.destroyed)),
    ]
    other = subprocess.Popen(flipping)
    try:
        for _ in range(ROUNDS):
            for query in ("status", "releases", "logs", "env list", "destroy --dry-run", "doctor"):
                asked(query, changing.machine)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
