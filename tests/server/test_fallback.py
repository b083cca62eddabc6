"""The live program is killed again and again under load: nginx asks the standby until systemd has started it again."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.load import backend
from bench.load.running import load

from harness.ssh_access import run
from harness.switches import ReadyServer, ready_for_load
from harness.world import straight, wait_until

KILLS = int(os.environ.get("TEAL_KILLS", "3"))
GETS = ("new connection", "HTTP/1.0", "HEAD", "pipelined", "HTTPS", "HTTP/2, GET alone")
POSTS = ("slow body, buffered", "slow body, streamed", "Expect: 100-continue", "HTTP/2 over TLS")


@pytest.mark.row("E19")
def test_kills_of_the_live_program_lose_no_get_and_double_no_other_request(
    debian: int, tmp_path: Path, counted: Callable[..., None]
) -> None:
    if reason := backend.why_not():
        pytest.skip(reason)
    with ready_for_load(debian, tmp_path) as ready:
        backend.write(ready.app.directory / "program", "v2")
        assert ready.app.deploy().ok().result["color"] == "green"
        with (
            load(ready.place, tmp_path / "gets", 300, GETS) as gets,
            load(ready.place, tmp_path / "posts", 100, POSTS) as posts,
        ):
            for _ in range(KILLS):
                _kill(ready)
                gets.more()
            status = ready.app.status()
        handled = ready.server.root / "var/lib/load"
        asked, sent = gets.seen(handled), posts.seen(handled)
    counted(
        kills=KILLS,
        gets=asked.verdict.requests,
        gets_lost=asked.verdict.lost,
        gets_answered_by_the_standby=status["fallback"]["answered"],
        posts=sent.verdict.requests,
        posts_doubled=sent.verdict.doubled,
    )
    assert asked.verdict.lost == 0, asked.failures
    assert (sent.verdict.doubled, sent.verdict.unseen) == (0, 0), sent
    assert (status["live"], status["fallback"]["color"]) == ("green", "blue")
    assert status["fallback"]["answered"] > KILLS


def _kill(ready: ReadyServer) -> None:
    """Kills the live program, and waits until it answers again itself."""
    unit = "teal-load@green"
    pid = run(ready.server, "systemctl", "show", "--property=MainPID", "--value", unit).strip()
    run(ready.server, "kill", "-KILL", pid)
    wait_until(lambda: _answered_by(ready) == "blue")
    wait_until(lambda: _answered_by(ready) == "green")


def _answered_by(ready: ReadyServer) -> str:
    with straight(f"http://{ready.server.address}/quick?id=probe&size=20") as answer:
        return str(answer.headers["X-Color"])
