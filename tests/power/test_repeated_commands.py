"""A command that repeats an id gets the recorded result, and does nothing."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from power.stories import APP, SPEC, Machine, Upload, content, manifest
from teal_host.ground import files as durable_files
from teal_host.ground import sockets
from teal_host.ground.errors import HostError, NeedsHuman
from teal_host.pipe.channel import Channel
from teal_host.stories import recover, rollback
from teal_host.stories.deploy import deploy
from teal_host.wire import typed
from teal_host.wire.app import AppSpec
from teal_host.wire.manifest import Origin
from teal_host.wire.messages import Result
from teal_host.wire.reports import LastReport
from teal_host.wire.requests import Deploy, Rollback


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path)
    with made.played():
        yield made


def deployed(machine: Machine, version: str, story: str) -> Result:
    request = Deploy(typed.decode(AppSpec, SPEC), manifest(version), Origin(), story)
    return deploy(machine.app, request, cast(Channel, Upload(content(version))))


def rolled_back(machine: Machine, story: str) -> Result:
    return rollback.rollback(machine.app, Rollback(APP, Origin(), story), cast(Channel, Upload(b"")))


def files(machine: Machine) -> dict[Path, Any]:
    return {path: path.lstat().st_mtime_ns for path in machine.root.rglob("*") if path.name != "lock"}


def test_repeated_command_that_went_live_gets_its_result_and_changes_nothing(machine: Machine) -> None:
    first, second, back = deployed(machine, "v1", "a"), deployed(machine, "v2", "b"), rolled_back(machine, "c")
    before = files(machine)
    assert [deployed(machine, "v1", "a"), deployed(machine, "v2", "b")] == [first, second]
    assert rolled_back(machine, "c") == back
    assert files(machine) == before
    assert machine.live_version() == "v1"


def test_first_deploy_is_live_when_the_machine_does_not_tell_its_addresses(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> list[str]:
        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))

    monkeypatch.setattr(sockets, "addresses", refuse)
    first = deployed(machine, "v1", "a")
    assert (first.outcome, first.entrance) == ("live", None)
    assert deployed(machine, "v1", "a") == first


def test_repeated_deploy_stays_unchanged_after_another_deploy(machine: Machine) -> None:
    """A second run after somebody else's deploy would take that deploy back."""
    deployed(machine, "v1", "a")
    unchanged = deployed(machine, "v1", "b")
    assert unchanged.outcome == "unchanged"
    deployed(machine, "v2", "c")
    assert deployed(machine, "v1", "b") == unchanged
    assert machine.live_version() == "v2"
    assert machine.status().last == status_of(machine, "c")


def status_of(machine: Machine, story: str) -> object:
    ended = next(line for line in machine.app.journal.lines() if (line["event"], line["id"]) == ("end", story))
    return LastReport("deploy", ended["release"], "live", ended["at"], "")


def test_repeated_deploy_that_was_refused_fails_the_same_way_and_changes_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(machine, "v1", "a")
    with monkeypatch.context() as patch:
        patch.setattr(machine.processes, "start", lambda *ignored: None)
        with pytest.raises(HostError) as refused:
            deployed(machine, "v2", "b")
    before = files(machine)
    with pytest.raises(HostError) as again:
        deployed(machine, "v2", "b")
    repeated, first = again.value.failure(), refused.value.failure()
    assert (repeated.code, repeated.message, repeated.release, repeated.previous) == (
        "unhealthy",
        first.message,
        first.release,
        first.previous,
    )
    assert files(machine) == before
    last = machine.status().last
    assert last is not None
    assert (last.command, last.release, last.outcome, last.message) == (
        "deploy",
        first.release,
        "unhealthy",
        first.message,
    )


def test_repeated_deploy_is_refused_when_an_older_teal_kept_no_answer(machine: Machine) -> None:
    deployed(machine, "v1", "a")
    journal = machine.app.paths.journal
    journal.write_text(
        "\n".join(line.split(', "answer"')[0].rstrip("}") + "}" for line in journal.read_text().splitlines()) + "\n"
    )
    with pytest.raises(HostError, match="already ran"):
        deployed(machine, "v1", "a")
    last = machine.status().last
    assert last is not None
    assert (last.outcome, last.message) == ("live", "")


def test_repeated_deploy_that_was_interrupted_tells_how_it_was_recovered(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed(machine, "v1", "a")

    def killed(name: str) -> None:
        if name == "turn link live":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(durable_files, "witness", killed)
        deployed(machine, "v2", "b")
    with pytest.raises(HostError) as repeated:
        deployed(machine, "v2", "b")
    assert repeated.value.code == "cancelled"
    assert "had not gone live and was undone" in repeated.value.message
    assert machine.live_version() == "v1"


def test_recovery_does_not_judge_a_switched_release_while_nginx_is_dead(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be verified then. If recovery took the release for sick, it would roll back."""
    deployed(machine, "v1", "a")

    def killed(name: str) -> None:
        if sum(line["event"] == "switched" for line in machine.app.journal.lines()) == 2:
            raise KeyboardInterrupt

    def check_site(site: object) -> None:
        raise NeedsHuman("nginx does not run")

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(durable_files, "witness", killed)
        deployed(machine, "v2", "b")
    with monkeypatch.context() as patch, pytest.raises(NeedsHuman, match="nginx does not run"):
        patch.setattr(machine.nginx, "check_site", check_site)
        recover.recover(machine.app)
    assert machine.live_version() == "v2"
    recover.recover(machine.app)
    assert machine.live_version() == "v2"
    assert deployed(machine, "v2", "b").outcome == "live"
