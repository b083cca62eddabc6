"""What a rollback finds of a command that gave way, was killed, or talks to an nginx that gives no answer."""

import json
import os
import signal
import uuid
from pathlib import Path
from typing import NoReturn

import pytest

from power.stories import Machine
from teal_host.ground import overtaking
from teal_host.ground.errors import CannotRun, HostError, NeedsHuman, RolledBack
from teal_host.state import releases
from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.steps import drain, switch
from teal_host.steps.candidate import Candidate
from teal_host.steps.judgement import ProbeResult
from teal_host.steps.scene import read_scene
from teal_host.stories import recover, rollback

NO_ANSWER = ProbeResult("unknown", "nginx at 127.0.0.1:80: no whole answer within 5 s", silent=True)


def machine(tmp_path: Path) -> Machine:
    (tmp_path / "host").mkdir()
    return Machine(tmp_path / "host")


def outcomes(host: Machine) -> list[str]:
    """Of the releases, oldest first."""
    return [record.outcome for record in releases.load(host.app.paths)]


def asked_in_the_verification(host: Machine, version: str) -> HostError:
    """A rollback asks a deploy to give way after the link was turned, while nginx does not show the new color yet."""

    def ask(app: App, candidate: Candidate, agreed: Agreement, answer_s: float) -> ProbeResult:
        os.kill(os.getpid(), signal.SIGURG)
        return ProbeResult("unknown", "nginx asked another color")

    overtaking.listen()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(HostError) as raised:
        patch.setattr(switch, "probe_through_nginx", ask)
        host.deploy(version)
    overtaking._THIS.is_asked = False  # the process of the deploy has ended
    return raised.value


@pytest.mark.row("G6")
def test_rollback_overtakes_a_deploy_that_is_not_verified_yet_and_goes_back_from_its_release(tmp_path: Path) -> None:
    host = machine(tmp_path)
    with host.played():
        host.deploy("v1")
        assert asked_in_the_verification(host, "v2").code == "superseded"
        assert host.live_version() == "v2"
        assert host.rollback().outcome == "live"
    assert (host.live_version(), outcomes(host)) == ("v1", ["live", "superseded"])
    assert host.status().notes == ()


@pytest.mark.row("G6")
def test_release_that_gave_way_is_judged_by_the_next_command_where_the_rollback_never_came(tmp_path: Path) -> None:
    """The rollback was killed right after it had asked."""
    host = machine(tmp_path)
    with host.played():
        host.deploy("v1")
        asked_in_the_verification(host, "v2")
        assert host.deploy("v2").outcome == "unchanged"
        assert outcomes(host) == ["live", "live"]
        host.deploy("v3")
        assert host.rollback().release == releases.load(host.app.paths)[1].release


@pytest.mark.row("A17", "G6")
def test_rollback_keeps_its_link_where_nginx_gives_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nginx serves nobody then, and asks the older release as soon as nginx goes on."""
    host = machine(tmp_path)
    with host.played():
        host.deploy("v1")
        host.deploy("v2")
        with monkeypatch.context() as patch:
            patch.setattr(switch, "probe_through_nginx", lambda *ignored: NO_ANSWER)
            patch.setattr(host.nginx, "serves", lambda route: refuse(CannotRun("nginx gives no answer")))
            with pytest.raises(NeedsHuman, match=r"rolled back to 0001-.* on blue, but: nginx at .* no whole answer"):
                host.rollback()
    assert (host.live_version(), outcomes(host)) == ("v1", ["live", "superseded"])
    assert host.status().notes == ()


@pytest.mark.row("A17", "G6")
def test_rollback_is_undone_where_nginx_answers_and_the_older_release_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration may have left the older release healthy and without an answer for visitors."""
    host = machine(tmp_path)
    with host.played():
        host.deploy("v1")
        host.deploy("v2")
        monkeypatch.setattr(switch, "probe_through_nginx", lambda *ignored: NO_ANSWER)
        with pytest.raises(RolledBack, match=r"no whole answer within 5 s; rolled back: 0002-.* serves again"):
            host.rollback()
    assert (host.live_version(), outcomes(host)) == ("v2", ["live", "live"])


@pytest.mark.row("G6")
@pytest.mark.parametrize("refused", ["_Way.target", "_begin", "switch_traffic"])
def test_release_that_a_rollback_did_not_leave_is_judged_by_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """The deploy gave way before it was verified; its release does not run any more."""
    host = machine(tmp_path)
    with host.played():
        host.deploy("v1")
        asked_in_the_verification(host, "v2")
        host.processes.running.pop("green")
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(f"{rollback.__name__}.{refused}", lambda *ignored: refuse(KeyboardInterrupt()))
            host.rollback()
        recover.recover(host.app)
    assert (host.live_version(), outcomes(host)) == ("v1", ["live", "rolled_back"])


def refuse(error: BaseException) -> NoReturn:
    raise error


def test_recovery_drains_a_color_whose_switch_had_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its link was turned, maybe, and turned back; then the command was killed before it wrote that down."""
    host = machine(tmp_path)
    drained: list[str] = []
    with host.played():
        host.deploy("v1")
        host.deploy("v2")
        app = host.app
        release = read_scene(app).slots.releases["blue"]
        story = uuid.uuid4().hex
        app.journal.write("begin", story, what="deploy", release=release)
        app.journal.write("start", story, release=release, color="blue")
        app.journal.write("switching", story, to="blue")
        monkeypatch.setattr(drain, "wait_and_stop", lambda app, slot, *ignored: drained.append(slot.color))
        host.deploy("v2")
    assert drained == ["blue"]
    ends = [json.loads(line) for line in app.paths.journal.read_text().splitlines()]
    assert ends[-2]["outcome"] == "refused"
