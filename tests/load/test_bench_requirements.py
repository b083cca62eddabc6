"""Before a measurement begins, the measurement names everything that the machine lacks, each on its own line."""

import os
import sys
from collections.abc import Callable

import pytest
from bench import choices, endurance, growth, requirements, start, switch, switches, wire

GO = "there is no go on this machine: script/setup demo brings it, or: apt-get install -y golang"
RSYNC = "there is no rsync on this machine: apt-get install -y rsync"
SSH = "there is no ssh on this machine: apt-get install -y openssh-client"
OPENSSL = "there is no openssl on this machine: apt-get install -y openssl"
COMMANDS: dict[str, tuple[Callable[[], int], set[str]]] = {
    "choices": (choices.main, {GO}),
    "endurance": (endurance.main, {GO, SSH, OPENSSL}),
    "growth": (growth.main, {GO, SSH}),
    "switch": (switch.main, {GO, SSH, OPENSSL}),
    "switches": (switches.main, {GO, SSH, OPENSSL}),
    "wire": (wire.main, {GO, SSH, RSYNC}),
}


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a machine with nothing on PATH, and without a package that brings Go."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(requirements, "find_spec", lambda name: None)


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize("name", COMMANDS)
def test_measurement_names_what_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    command, lines = COMMANDS[name]
    monkeypatch.setattr(sys, "argv", [f"bench/{name}"])
    with pytest.raises(SystemExit) as end:
        command()
    assert lines <= set(str(end.value.code).splitlines())


@pytest.mark.usefixtures("bare_machine")
def test_wire_needs_no_rsync_when_rsync_takes_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["bench/wire", "--only", "Fujin"])
    with pytest.raises(SystemExit) as end:
        wire.main()
    assert SSH in str(end.value.code)
    assert RSYNC not in str(end.value.code)


@pytest.mark.usefixtures("bare_machine")
def test_start_needs_nothing_but_python() -> None:
    assert start.seconds(1)
    assert os.environ["PATH"] == ""
