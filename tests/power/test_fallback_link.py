"""The link `fallback` names a color that was live and runs, and no other, whatever fails and at a boot."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from power.stories import SPEC, Machine
from teal_host.ground.errors import HostError, NeedsHuman
from teal_host.pipe.channel import Channel
from teal_host.preparations.change import SetupChange
from teal_host.provisioning.local import LocalProvisioning
from teal_host.state import agreement, releases
from teal_host.stories import recover, setup
from teal_host.wire import typed
from teal_host.wire.app import AppSpec
from teal_host.wire.manifest import Origin
from teal_host.wire.requests import Setup


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A host on which the first release is live."""
    machine = Machine(tmp_path / "root")
    with machine.played():
        machine.deploy("v1")
        yield machine


def named(machine: Machine) -> str | None:
    link = machine.app.paths.fallback
    return link.readlink().name if link.is_symlink() else None


def test_release_that_was_live_and_runs_stands_in_for_the_next(machine: Machine) -> None:
    machine.deploy("v2")
    assert named(machine) == "blue"


def test_release_that_turned_bad_stands_in_for_no_other(machine: Machine) -> None:
    (first,) = releases.load(machine.app.paths)
    releases.mark(machine.app.paths, first, "unhealthy")
    machine.deploy("v2")
    assert machine.processes.running.keys() == {"blue", "green"}
    assert named(machine) is None


def test_release_that_does_not_run_at_the_switch_stands_in_for_no_other(machine: Machine) -> None:
    machine.processes.running.clear()
    machine.deploy("v2")
    assert named(machine) is None


def test_no_color_stands_in_after_a_boot_also_where_the_recovery_fails(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.deploy("v2")
    named_during: list[str | None] = []

    def fail(app: object) -> None:
        named_during.append(named(machine))
        raise NeedsHuman("nginx does not run")

    monkeypatch.setattr(recover, "recover", fail)
    with pytest.raises(NeedsHuman):
        recover.at_boot(machine.app)
    assert (named_during, named(machine)) == ([None], None)


def test_standby_stands_in_all_the_time_when_a_setup_that_drained_it_fails(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.deploy("v2")
    agreed, standby = agreement.load(machine.app.paths), machine.app.paths.color("blue")
    named_during: list[str | None] = []

    def fail(*ignored: object) -> None:
        named_during.append(named(machine))
        raise HostError("nginx refuses the file")

    monkeypatch.setattr(setup, "_agreed", lambda app, request: agreed)
    monkeypatch.setattr(setup, "_moving", lambda app, before, wanted: [standby])
    monkeypatch.setattr(setup, "_install", lambda app, request, plan: None)
    monkeypatch.setattr(setup, "_as_planned", fail)
    monkeypatch.setattr(setup, "planned", lambda app, request: [SetupChange("write the site", fail)])
    monkeypatch.setattr(LocalProvisioning, "check_setup_is_possible", lambda local: None)
    request = Setup(typed.decode(AppSpec, SPEC), Origin())
    with pytest.raises(HostError, match="nginx refuses"):
        setup.setup(machine.app, request, cast(Channel, SimpleNamespace(await_commit=lambda patience_s: None)))
    assert (named_during, named(machine)) == (["blue"], "blue")
