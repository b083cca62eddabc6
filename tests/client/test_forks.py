"""A fork of `teal`, as most tests use it, is to its user what a process of its own is."""

import os
import signal
import subprocess
import sys

import pytest

from harness.forks import MOST_INPUT, Command, forks
from harness.world import REPO, World

COMMANDS = ["--version", "status --json", "deploy", "no-such", "env set A", "completion bash", "deploy --no-such"]


def command(world: World, *arguments: str, text: str = "", **env: str) -> Command:
    return Command(arguments, str(world.home), {**world.env, **env}, text)


@pytest.mark.parametrize("words", COMMANDS)
def test_fork_says_and_ends_as_a_process_does(world: World, words: str) -> None:
    asked = command(world, *words.split(), text="secret")
    done = forks(REPO / "src").run(asked, 60)
    argv = [sys.executable, "-m", "teal", *asked.arguments]
    real = subprocess.run(
        argv, cwd=asked.directory, env=asked.env, input=asked.text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (real.returncode, real.stdout, real.stderr)


def test_fork_that_takes_too_long_is_killed(world: World) -> None:
    app = world.app()
    app.config(build={"command": ["sh", "-c", "echo $$ > building; exec sleep 60"]})
    asked = Command(("deploy",), str(app.directory), world.env)
    with pytest.raises(subprocess.TimeoutExpired):
        forks(REPO / "src").run(asked, 3)
    os.kill(int((app.directory / "building").read_text()), signal.SIGKILL)


@pytest.mark.parametrize("other", [{"LANG": "tlh"}, {"TZ": "Asia/Tokyo"}, {"PYTHONPATH": "/srv"}], ids=str)
def test_command_is_a_process_where_python_would_start_otherwise(world: World, other: dict[str, str]) -> None:
    assert forks(REPO / "src").take(command(world, "status"))
    assert not forks(REPO / "src").take(command(world, "status", **other))
    assert not forks(REPO / "src").take(command(world, "env", "set", "A", text="x" * (MOST_INPUT + 1)))
