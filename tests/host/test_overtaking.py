"""When a command gives way on request, and when not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.world import wait_until
from teal_host.ground import overtaking
from teal_host.ground.errors import GaveWay
from teal_host.ground.journal import Journal, up_s
from teal_host.pipe.unpack import Unpacked


@pytest.fixture(autouse=True)
def _listening() -> Iterator[None]:
    before = signal.getsignal(signal.SIGURG)
    overtaking.listen()
    yield
    overtaking.listen()
    signal.signal(signal.SIGURG, before)


def ask() -> None:
    overtaking.ask(os.getpid(), lambda: True)


def tick() -> None:
    """Waits for the next millisecond, the unit of the journal's clock."""
    began = up_s()
    wait_until(lambda: up_s() > began)


def test_signal_ends_a_wait_in_which_giving_way_is_possible() -> None:
    with pytest.raises(GaveWay), overtaking.possible():
        ask()
        signal.pause()


def test_signal_outside_of_such_a_wait_ends_the_next_one() -> None:
    ask()
    with pytest.raises(GaveWay), overtaking.possible():
        pytest.fail("the wait began")


def test_signal_ends_no_act_and_gives_way_after_it() -> None:
    done = []
    with pytest.raises(GaveWay), overtaking.possible():
        with overtaking.postponed():
            ask()
            done.append("a message was sent whole")
        done.append("more")
    assert done == ["a message was sent whole"]


def test_signal_after_the_wait_raises_nothing() -> None:
    with overtaking.possible():
        pass
    ask()
    with overtaking.postponed():
        ask()


def test_signal_goes_to_nobody_who_does_not_hold_the_lock() -> None:
    overtaking.ask(os.getpid(), lambda: False)
    with overtaking.possible():
        pass


def test_signal_does_no_harm_to_a_process_that_does_not_know_it() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        overtaking.ask(other.pid, lambda: True)
        other.communicate(b"\n", timeout=60)
    assert other.returncode == 0


def test_signal_in_an_unpacker_is_no_damage_of_the_upload() -> None:
    class Asked:
        needs_input = True
        eof = False

        def decompress(self, packed: bytes, most: int) -> bytes:
            raise GaveWay

    unpacked: Any = Unpacked(iter([b"packed"]), "zlib")
    unpacked._unpacker = Asked()
    with pytest.raises(GaveWay):
        unpacked.read(1)


def test_deploy_gives_way_if_a_rollback_began_since_it_connected(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.write("begin", "1" * 32, what="deploy")
    overtaking.check_not_overtaken(journal)
    tick()
    journal.write("begin", "2" * 32, what="rollback")
    with pytest.raises(GaveWay):
        overtaking.check_not_overtaken(journal)
    overtaking.listen()  # as a later command does
    overtaking.check_not_overtaken(journal)


def test_deploy_gives_way_if_a_rollback_found_its_release_live_since_it_connected(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    tick()
    journal.write("unchanged", "1" * 32, what="deploy")
    overtaking.check_not_overtaken(journal)
    journal.write("unchanged", "2" * 32, what="rollback")
    with pytest.raises(GaveWay):
        overtaking.check_not_overtaken(journal)


def test_rollback_before_a_reboot_overtakes_no_deploy_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "journal")
    with monkeypatch.context() as patch:
        patch.setattr("teal_host.ground.journal.up_s", lambda: up_s() + 30 * 86400)
        journal.write("begin", "1" * 32, what="rollback")
    overtaking.check_not_overtaken(journal)
