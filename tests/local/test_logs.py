"""`teal logs` of a program that has written a lot: memory is bounded on both sides, and no line is lost."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.background import children
from harness.memory import peak_of, peak_so_far
from harness.world import App
from teal_host.ground.paths import ColorPaths, HostPaths
from teal_host.supervisors.log_file import LogFileTail

LINES, LENGTH = int(os.environ.get("TEAL_LOG_LINES", "10000")), 2_000
MARGIN_KB = 10 * 1024  # the log has 20 MB or more


@pytest.mark.row("F18")
@pytest.mark.parametrize("arguments", [["logs"], ["logs", "--json"]], ids=["for a person", "as JSON"])
def test_logs_take_no_more_memory_for_many_lines(
    app: App, tmp_path: Path, counted: Callable[..., None], arguments: list[str]
) -> None:
    app.deploy().ok()
    _write(_log(app), LINES)
    few = peak_of(app, [*arguments, "-n", "10"], tmp_path / "few")
    many = peak_of(app, [*arguments, "-n", str(LINES)], tmp_path / "many")
    assert many < few + MARGIN_KB
    text = (tmp_path / "many").read_text()
    lines = [line["text"] for line in json.loads(text)["lines"]] if "--json" in arguments else text.splitlines()
    assert [int(line.split()[-1]) for line in lines] == list(range(LINES))
    counted(lines=LINES, kilobytes_of_memory_more_than_for_ten=max(0, many - few))


@pytest.mark.parametrize("arguments", [[], ["-f"], ["--color", "blue"]], ids=" ".join)
def test_logs_say_what_comes_next_when_nothing_was_ever_deployed(app: App, arguments: list[str]) -> None:
    ended = app.teal("logs", *arguments).ok()
    assert (ended.out, ended.err) == ("", "nothing is deployed yet: teal deploy\n")


def test_logs_follow_a_color_for_a_client_that_reads_slowly(app: App) -> None:
    app.deploy().ok()
    following = app.world.start("logs", "-f", "-n", "1", "--json", cwd=app.directory)
    try:
        output = following.stdout
        assert output is not None
        assert "version v1 starts" in output.readline()
        _write(_log(app), LINES)  # far more than the pipes hold, and nobody reads
        numbers = [int(json.loads(output.readline())["text"]) for _ in range(LINES)]
        (server_side,) = children(following.pid)
        peak = peak_so_far(Path(f"/proc/{server_side}/status").read_text())
    finally:
        following.kill()
        following.communicate()
    assert numbers == list(range(LINES))
    assert peak < 64 * 1024


def test_log_is_read_from_its_last_lines_also_where_lines_are_long_or_not_ended(tmp_path: Path) -> None:
    color = HostPaths(tmp_path).app("shop").color("blue")
    (color.home.parent / "releases/0001-aaaaaaaaaa").mkdir(parents=True)
    color.home.mkdir()
    color.release.symlink_to("../releases/0001-aaaaaaaaaa")
    log = color.log(color.held or "")
    log.parent.mkdir()
    long = "x" * 40_000
    log.write_text(f"one\n\n{long}\n{'y' * 70_000}\nlast\nnot ended")
    assert _last(color, 0) == []
    assert _last(color, 1) == ["not ended"]
    assert _last(color, 2) == ["last", "not ended"]
    assert "".join(_last(color, 4)) == f"{long}{'y' * 70_000}lastnot ended"
    assert _last(color, 6)[:2] == ["one", ""]
    assert _last(color, 100_000) == _last(color, 6)
    log.write_text("\n")
    assert _last(color, 5) == [""]
    log.write_text("")
    assert _last(color, 5) == []


def test_log_is_followed_to_the_next_release_and_in_pieces(tmp_path: Path) -> None:
    color = HostPaths(tmp_path).app("shop").color("blue")
    color.home.mkdir(parents=True)
    tail = LogFileTail([color])
    assert list(tail.last(10)) == list(tail.more()) == []
    for release in ("0001-aaaaaaaaaa", "0002-bbbbbbbbbb"):
        color.release.unlink(missing_ok=True)
        color.release.symlink_to(f"../releases/{release}")
        log = color.log(release)
        log.parent.mkdir(exist_ok=True)
        log.write_text("begun")
        assert [line.text for line in tail.more()] == []
        log.write_text(f"begun and ended\n{'x' * 100_000}")
        lines = list(tail.more())
        assert {line.release for line in lines} == {release}
        assert lines[0].text == "begun and ended"
        assert 90_000 < sum(len(line.text) for line in lines[1:]) < 100_000, "no endless line is held"
        log.write_text(f"begun and ended\n{'x' * 100_000}\n")
        assert set("".join(line.text for line in tail.more())) == {"x"}


def _last(color: ColorPaths, lines: int) -> list[str]:
    return [line.text for line in LogFileTail([color]).last(lines)]


def _write(log: Path, lines: int) -> None:
    with log.open("a") as file:
        file.writelines(f"{number:0{LENGTH}}\n" for number in range(lines))


def _log(app: App) -> Path:
    (log,) = (app.state / "logs").glob("blue-*.log")
    return log
