"""One command runs at a time. The lock is never stale: it ends with its holder, however the holder ends."""

import contextlib
import errno
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from harness.world import REPO
from teal_host.ground import files, lock, run, trees
from teal_host.ground.errors import Locked
from teal_host.ground.paths import HostPaths
from teal_host.ground.run import Program
from teal_host.wire.manifest import Origin

ME = Origin("mé", "here")
HOLD = """
import sys, time, pathlib
sys.path.insert(0, sys.argv[1])
from teal_host.ground import lock
from teal_host.wire.manifest import Origin
with lock.held(pathlib.Path(sys.argv[2]), "deploy", Origin("anna", "laptop"), 0):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop/lock"


@contextmanager
def holder(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Another process that holds the lock."""
    argv = [sys.executable, "-I", "-S", "-c", HOLD, str(REPO / "src"), str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.kill()


def refused(path: Path, wait_s: float = 0) -> Locked:
    with pytest.raises(Locked) as raised, lock.held(path, "rollback", ME, wait_s):
        pass
    return raised.value


def test_lock_tells_the_second_comer_who_holds_it_for_what_and_since_when(path: Path) -> None:
    with holder(path) as process:
        message = refused(path).message
        since = datetime.fromisoformat(json.loads(path.read_text())["since"]).astimezone().strftime("%H:%M:%S %Z")
        assert message == f"anna@laptop is at work here since {since}: deploy (process {process.pid})"
        assert refused(path).hint


@pytest.mark.row("F12")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
@pytest.mark.row("G2")
def test_lock_dies_with_its_holder(path: Path, number: signal.Signals) -> None:
    with holder(path) as process:
        process.send_signal(number)
        process.wait(60)
        with lock.held(path, "rollback", ME, 0):
            assert json.loads(path.read_text())["who"] == "mé"


def test_lock_is_free_again_after_use_and_after_an_error(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock.held(path, "deploy", ME, 0):
        raise ZeroDivisionError
    for _ in range(2):
        with lock.held(path, "deploy", ME, 0):
            assert refused(path)


def test_lock_goes_to_the_waiting_command_when_it_becomes_free(path: Path) -> None:
    got = threading.Event()

    def wait() -> None:
        with lock.held(path, "second", ME, 60):
            got.set()

    with holder(path) as process:
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.wait(0.3)
        process.kill()
        assert got.wait(60)
        waiting.join()


def test_lock_names_its_holder_when_the_wait_is_over(path: Path) -> None:
    with holder(path):
        began = time.monotonic()
        assert "anna@laptop" in refused(path, wait_s=0.3).message
        assert 0.3 <= time.monotonic() - began < 60


@pytest.mark.row("F12")
@pytest.mark.parametrize("hours", [-1, 1])
def test_lock_wait_keeps_its_length_when_the_clock_jumps(
    path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """A jump of the clock also does not make somebody else's lock look old."""
    clock, began = time.time, time.monotonic()
    with holder(path):
        monkeypatch.setattr(time, "time", lambda: clock() + (time.monotonic() > began + 0.1) * hours * 3600)
        assert "anna@laptop" in refused(path, wait_s=0.4).message
        assert 0.4 <= time.monotonic() - began < 60


def test_lock_admits_only_one_of_many_at_a_time(path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        for _ in range(5):
            with lock.held(path, f"work {number}", ME, 60):
                inside.append(number)
                most.append(len(inside))
                inside.remove(number)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert most == [1] * 20


def test_lock_is_not_held_by_a_program_started_under_it(path: Path, tmp_path: Path) -> None:
    with lock.held(path, "deploy", ME, 0):
        program = run.spawn(
            Program([sys.executable, "-c", "import time; time.sleep(600)"], {}, tmp_path, tmp_path / "log")
        )
    try:
        with lock.held(path, "deploy", ME, 0):
            assert program.poll() is None
    finally:
        program.kill()
        program.wait()


def test_lock_file_made_after_a_removal_is_another_lock(path: Path) -> None:
    """A destroy removes the lock file. The next command must not hold a lock on the removed file."""
    with lock.held(path, "destroy", ME, 0):
        path.unlink()
        with lock.held(path, "deploy", ME, 0):
            assert refused(path)


def test_lock_wait_survives_the_removal_of_the_whole_directory(path: Path) -> None:
    got = threading.Event()

    def wait() -> None:
        with lock.held(path, "deploy", ME, 60):
            got.set()

    waiting = threading.Thread(target=wait)
    with lock.held(path, "destroy", ME, 0):
        waiting.start()
        assert not got.wait(0.3)
        trees.remove(path.parent)
    assert got.wait(60)
    waiting.join()
    assert path.exists()


def test_lock_is_taken_when_a_destroy_removes_its_directory_just_before(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 1f740d8 a command that waited for the lock ended with `No such file or directory`."""
    made, removed = files.make_dir, list[Path]()

    def removed_at_once(folder: Path) -> None:
        made(folder)
        if folder == path.parent and not removed:
            removed.append(folder)
            trees.remove(folder)

    monkeypatch.setattr(files, "make_dir", removed_at_once)
    with lock.held(path, "deploy", ME, 0):
        assert removed == [path.parent]
        assert path.exists()


STRANGE = '{"who": 1, "machine": 2, "what": 3, "since": "0001-01-01T00:00:00+14:00", "pid": 1e999}'


@pytest.mark.parametrize(
    "note", ["", "garbage", "[]", "{}", '{"who": 1}', "\x00" * 50, '"text"', "[" * 100_000, STRANGE]
)
def test_lock_still_refuses_when_its_note_is_unreadable(path: Path, note: str) -> None:
    with lock.held(path, "deploy", ME, 0):
        path.write_text(note)
        assert refused(path).message == "another command is at work here"
        assert lock.holder(path) is None


def test_lock_ignores_the_note_of_an_earlier_holder(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('{"who": "ghost", "machine": "m", "what": "deploy", "since": "ever", "pid": 1}')
    with lock.held(path, "deploy", ME, 0):
        assert "ghost" not in path.read_text()


@pytest.mark.row("G8")
@pytest.mark.row("S15")
def test_lock_does_not_follow_a_link_in_its_place(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError), lock.held(path, "deploy", ME, 0):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_lock_leaks_no_file_descriptor_when_refused(path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with holder(path):
        refused(path)
        before = descriptors()
        for _ in range(5):
            refused(path)
        assert descriptors() == before


def was_killed(path: Path) -> bool:
    with lock.held(path, "deploy", ME, 0) as was_killed:
        return was_killed


def test_lock_says_whether_its_last_holder_was_killed(path: Path) -> None:
    with holder(path):
        pass
    assert was_killed(path)
    assert not was_killed(path)
    with contextlib.suppress(Locked), lock.held(path, "deploy", ME, 0):
        raise Locked("any error of Teal's own")
    assert not was_killed(path)
    with contextlib.suppress(OSError), lock.held(path, "deploy", ME, 0):
        raise OSError(errno.EIO, "the disk does not sync")
    assert was_killed(path)


def test_lock_of_an_app_syncs_its_folders_once_after_a_killed_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, synced = HostPaths(tmp_path).app("shop"), list[Path]()
    with holder(paths.lock):
        pass
    monkeypatch.setattr(files, "sync_dirs", synced.extend)
    for _ in range(2):
        with lock.of_app(paths, "deploy", ME, 0):
            assert synced == paths.all_folders()
