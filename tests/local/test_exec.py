"""`teal exec`: runs one command as the app would, passes its bytes both ways, returns its exit code, and leaves
nothing.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import world as worlds
from harness.background import children
from harness.world import App, World, wait_until


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One app for all tests, because a command of `teal exec` changes nothing."""
    with worlds.world(tmp_path_factory.mktemp("exec")) as made:
        app = made.app()
        app.config(run={"data": True, "env": {"MODE": "fast"}})
        app.teal("env", "set", "TOKEN", stdin="first").ok()
        app.deploy().ok()
        app.teal("env", "set", "TOKEN", stdin="not live").ok()
        yield app


def run(app: App, *command: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    argv = app.world.argv("exec", "--", *command)
    return subprocess.run(
        argv, cwd=app.directory, env=app.world.env, input=stdin, capture_output=True, timeout=120, check=False
    )


def shell(app: App, text: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    return run(app, "sh", "-c", text, stdin=stdin)


@contextmanager
def started(app: App, *command: str) -> "Iterator[subprocess.Popen[bytes]]":
    running = subprocess.Popen(
        app.world.argv("exec", "--", *command),
        cwd=app.directory,
        env=app.world.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


def alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def test_exec_runs_with_the_directory_and_environment_of_the_app_but_not_its_port(live: App) -> None:
    done = run(live, sys.executable, "-c", "import json, os; print(json.dumps([os.getcwd(), dict(os.environ)]))")
    where, environment = json.loads(done.stdout)
    of_the_app = {name: value for name, value in live.get("/env").items() if not name.startswith("TEAL_")}
    assert environment == {name: value for name, value in of_the_app.items() if name != "PORT"}
    assert (environment["TOKEN"], environment["MODE"], environment["COLOR"]) == ("first", "fast", "blue")
    assert where == str(live.state / "releases" / environment["RELEASE"])
    assert run(live, "./program", "--no").returncode == 1, "the release's own program, which wants a PORT"


def test_exec_passes_stdout_and_stderr_on_separately_and_unchanged(live: App) -> None:
    done = shell(live, r"printf '\000\377\n\033[31m'; printf 'r\000d' >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"\x00\xff\n\x1b[31m", b"r\x00d")


def test_exec_passes_stdin_on_byte_by_byte(live: App) -> None:
    data = os.urandom(8_000_000)
    done = run(live, "cat", stdin=data)
    assert (done.returncode, done.stdout == data, done.stderr) == (0, True, b"")


@pytest.mark.parametrize(
    "text",
    ["true", "head -c 5 > /dev/null", "exec <&-; sleep 0.2", "sleep 0.2"],
    ids=["ends", "some", "closes", "none"],
)
def test_exec_ends_normally_when_the_command_does_not_read_its_input(live: App, text: str) -> None:
    done = shell(live, text, stdin=b"x" * 3_000_000)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_exec_passes_input_and_output_on_while_the_command_runs(live: App) -> None:
    with started(live, "sh", "-c", "echo ready; read answer; echo got $answer") as running:
        assert running.stdin is not None and running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        running.stdin.write(b"me\n")
        running.stdin.flush()
        assert running.stdout.readline() == b"got me\n"
        assert running.wait(60) == 0


@pytest.mark.parametrize(
    ("text", "code"),
    [("exit 0", 0), ("exit 200", 200), ("kill -TERM $$", 143), ("kill -INT $$", 130), ("kill -9 $$", 137)],
)
def test_exec_returns_the_exit_code_of_the_command(live: App, text: str, code: int) -> None:
    done = shell(live, text)
    assert (done.returncode, done.stderr) == (code, b"")


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("no-such-program", 127, "No such file"),
        ("./no-such-program", 127, "No such file"),
        ("/", 126, "Permission denied"),
        ("/etc/passwd", 126, "Permission denied"),
    ],
)
def test_exec_names_a_command_that_cannot_be_started(live: App, name: str, code: int, reason: str) -> None:
    done = run(live, name)
    assert (done.returncode, done.stdout) == (code, b"")
    assert done.stderr.decode().startswith(f"teal: {name} cannot be started: {reason}")


def test_exec_passes_arguments_on_unchanged(live: App) -> None:
    words = ["", "--json", "-C", "${port}", "{port} {x}", "a b", "é", "\n", "y" * 100_000]
    done = run(live, sys.executable, "-c", "import sys; print(ascii(sys.argv[1:]))", *words)
    assert done.stdout.decode() == f"{words!a}\n"


def test_exec_ends_background_processes_when_the_command_ends(live: App) -> None:
    done = shell(live, "sleep 1000 & echo $!")
    assert done.returncode == 0
    assert not alive(int(done.stdout))


def test_exec_makes_files_that_only_the_app_can_read(live: App) -> None:
    done = shell(live, 'umask; touch "$DATA_DIR/made"; stat -c %a "$DATA_DIR/made"')
    assert done.stdout.split() == [b"0077", b"600"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_exec_ends_the_command_when_the_client_is_killed_or_interrupted(live: App, number: signal.Signals) -> None:
    with started(live, "sh", "-c", "sleep 1000 & echo $$ $!; wait") as running:
        assert running.stdout is not None
        pids = [int(word) for word in running.stdout.readline().split()]
        running.send_signal(number)
        assert running.wait(60) == (-9 if number == signal.SIGKILL else 130)
        wait_until(lambda: not any(map(alive, pids)))


def test_exec_ends_the_command_on_ctrl_c_when_the_command_does_not_take_its_input(live: App) -> None:
    with started(live, "sh", "-c", "echo $$; sleep 1000") as running:
        assert running.stdin is not None and running.stdout is not None
        pid = int(running.stdout.readline())
        os.set_blocking(running.stdin.fileno(), False)
        full_since = time.monotonic()
        while time.monotonic() - full_since < 0.5:  # until the pipe takes no more
            try:
                os.write(running.stdin.fileno(), b"x" * 65_536)
                full_since = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
        wait_until(lambda: not alive(pid))


def test_exec_ends_a_command_that_ignores_sigterm(live: App) -> None:
    with started(live, "sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.1; done") as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 130
        wait_until(lambda: not alive(pid))


def test_exec_ends_the_command_when_its_output_is_no_longer_read(live: App) -> None:
    with started(live, "sh", "-c", "echo $$; exec yes") as running:
        assert running.stdout is not None
        pid = int(running.stdout.readline())
        running.stdout.close()
        assert running.wait(60) == 1
        assert running.stderr is not None and b"Traceback" not in running.stderr.read()
        wait_until(lambda: not alive(pid))
        running.stdout = None


def test_exec_slows_the_command_down_for_a_slow_reader_and_fills_no_memory(live: App) -> None:
    """The command writes a number before each block, so at most one block, which a pipe holds, precedes the first
    number.
    """
    counts = (
        "import sys\nfor n in range(16000): print(n, file=sys.stderr, flush=1); sys.stdout.buffer.write(bytes(2**14))"
    )
    with started(live, sys.executable, "-uc", counts) as running:
        assert running.stdout is not None and running.stderr is not None
        os.set_blocking(running.stderr.fileno(), False)
        numbers, quiet_since = b"", time.monotonic()
        while not numbers or time.monotonic() - quiet_since < 1:
            chunk = running.stderr.read()
            numbers, quiet_since = (numbers + chunk, time.monotonic()) if chunk else (numbers, quiet_since)
            time.sleep(0.02)
        assert 1 <= len(numbers.splitlines()) < 800, "of 16,000 blocks"
        (other_side,) = children(running.pid)
        assert resident(other_side) < 100_000_000
        assert resident(running.pid) < 100_000_000


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_exec_is_refused_without_a_live_release(world: World) -> None:
    app = world.app()
    refused = app.teal("exec", "--", "ls")
    assert refused.code == 2
    assert "nothing of shop is live here" in refused.err
    assert "teal deploy" in refused.err
