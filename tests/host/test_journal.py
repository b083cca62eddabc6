"""The history of an app: what a crash or a stranger left in it never hides what can be read."""

import datetime
import json
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from teal_host.ground import journal as journals
from teal_host.ground.journal import Journal, UnfinishedStory

BEGIN = {"event": "begin", "id": "a", "release": "0001-aaaaaaaaaaaa", "left": None}
START = {"event": "start", "id": "a", "release": "0001-aaaaaaaaaaaa", "color": "blue"}
TURN = {"event": "switching", "id": "a", "to": "blue"}
TURNED = {"event": "switched", "id": "a", "to": "blue", "at": "2026-02-03T04:05:06.789+00:00"}
END = {"event": "end", "id": "a", "outcome": "live"}
GARBAGE = [
    b"",
    b"\0" * 4096,
    b"{",
    b'{"event": "beg',
    b"[1, 2]",
    b'"begin"',
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    b"NaN",
]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def hold(journal: Journal, *lines: dict[str, Any] | bytes) -> None:
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    journal.path.write_bytes(b"".join(text + b"\n" for text in texts))


def test_journal_lines_are_read_in_the_order_written(journal: Journal) -> None:
    journal.write("begin", "x" * 32, what="deploy", release="é\n\u2028", left=None)
    journal.write("end", "x" * 32, outcome="live")
    first, second = journal.lines()
    assert first == {
        "format": 2,
        "at": first["at"],
        "up": first["up"],
        "event": "begin",
        "id": "x" * 32,
        "what": "deploy",
        "release": "é\n\u2028",
        "left": None,
    }
    assert second["event"] == "end"
    assert first["at"] <= second["at"]


def test_journal_time_is_in_utc(journal: Journal) -> None:
    journal.write("switched", "a")
    at = datetime.datetime.fromisoformat(journal.lines()[-1]["at"])
    assert at.utcoffset() == datetime.timedelta(0)
    assert abs((datetime.datetime.now(datetime.UTC) - at).total_seconds()) < 60


def test_journal_is_empty_when_its_file_is_missing(journal: Journal) -> None:
    assert (journal.lines(), journal.unfinished(), journal.since_switch()) == ([], None, inf)


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ([], None),
        ([BEGIN, END], None),
        ([BEGIN, START, TURN, TURNED, END], None),
        ([END], None),
        ([START], None),
        ([BEGIN], UnfinishedStory("a", "0001-aaaaaaaaaaaa", None, False)),
        ([BEGIN, START], UnfinishedStory("a", "0001-aaaaaaaaaaaa", "blue", True)),
        ([BEGIN, START, TURN], UnfinishedStory("a", "0001-aaaaaaaaaaaa", "blue", True)),
        ([BEGIN, START, TURN, TURNED], UnfinishedStory("a", "0001-aaaaaaaaaaaa", "blue", True, switched=True)),
        ([BEGIN, START, END, {**BEGIN, "id": "b"}], UnfinishedStory("b", "0001-aaaaaaaaaaaa", None, False)),
        ([BEGIN, START, {**BEGIN, "id": "b"}], UnfinishedStory("b", "0001-aaaaaaaaaaaa", None, False)),
        ([BEGIN, START, {**BEGIN, "id": "b"}, END], None),
        (
            [BEGIN, {"event": "later", "id": "a", "new": [1]}, START],
            UnfinishedStory("a", "0001-aaaaaaaaaaaa", "blue", True),
        ),
        ([{**BEGIN, "format": 9, "more": {"x": 1}}], UnfinishedStory("a", "0001-aaaaaaaaaaaa", None, False)),
        ([{"event": "begin"}], UnfinishedStory("None", None, None, False)),
    ],
)
def test_story_is_unfinished_until_its_end_is_written(
    journal: Journal, lines: list[Any], left: UnfinishedStory | None
) -> None:
    hold(journal, *lines)
    assert journal.unfinished() == left


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: repr(garbage[:12]))
def test_journal_garbage_hides_no_line_around_it(journal: Journal, garbage: bytes) -> None:
    hold(journal, garbage, BEGIN, garbage, START, garbage)
    assert journal.lines() == [BEGIN, START]
    assert journal.unfinished() == UnfinishedStory("a", "0001-aaaaaaaaaaaa", "blue", True)


@given(st.lists(st.sampled_from([BEGIN, START, TURN, TURNED, END]), max_size=5), st.binary(max_size=60))
@example([BEGIN, END], b"\r\x85\x1c")
@pytest.mark.row("A15")
def test_journal_tail_of_any_bytes_hides_no_line_before_it(tmp_path: Path, lines: list[Any], tail: bytes) -> None:
    journal = Journal(tmp_path / "journal")
    hold(journal, *lines, b"\x01" + tail.replace(b"\n", b""))
    assert journal.lines() == lines


@pytest.mark.parametrize("cut", range(len(json.dumps(START).encode())))
def test_journal_skips_a_cut_last_line_and_writes_the_next_line_whole(journal: Journal, cut: int) -> None:
    hold(journal, BEGIN)
    with journal.path.open("ab") as file:
        file.write(json.dumps(START).encode()[:cut])
    assert journal.lines() == [BEGIN]
    journal.write("end", "a", outcome="recovered")
    begin, end = journal.lines()
    assert (begin, end["event"]) == (BEGIN, "end")
    assert journal.unfinished() is None


def test_journal_counts_a_whole_last_line_without_its_line_break(journal: Journal) -> None:
    journal.path.write_bytes(json.dumps(BEGIN).encode())
    journal.write("end", "a")
    assert [line["event"] for line in journal.lines()] == ["begin", "end"]


HOUR = datetime.timedelta(hours=1)


def as_of_now(line: dict[str, Any]) -> dict[str, Any]:
    """With the times of a line that are told as distances: all tests are collected long before the last one runs."""
    told = dict(line)
    if isinstance(line.get("up"), int):
        told["up"] = journals.up_s() + line["up"]
    if isinstance(line.get("at"), datetime.timedelta):
        told["at"] = (datetime.datetime.now(datetime.UTC) + line["at"]).isoformat()
    return told


@pytest.mark.parametrize(
    ("lines", "passed"),
    [
        ([{**TURNED, "up": -60}, END, {**TURNED, "up": -20}, BEGIN], 20),
        ([{**TURNED, "up": -20}, {**TURNED, "up": "long"}], 20),
        ([{**TURNED, "up": -20}, {**TURNED, "at": 5}, {"event": "switched"}], 20),
        ([{**TURNED, "up": 900}], inf),  # of a boot before this one
        ([{**TURNED, "at": -HOUR}], 3600),  # of a Teal that did not write it
        ([{**TURNED, "at": HOUR}], 0),
        ([BEGIN, START, END], inf),
    ],
)
def test_time_since_the_switch_counts_from_the_last_readable_switch(
    journal: Journal, lines: list[Any], passed: float
) -> None:
    hold(journal, *map(as_of_now, lines))
    assert journal.since_switch() == pytest.approx(passed, abs=15)


@pytest.mark.row("D20")
@pytest.mark.parametrize("hours", [-1, 1])
def test_time_since_the_switch_is_unchanged_when_the_clock_jumps(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    at = (datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=hours)).isoformat()
    monkeypatch.setattr(journals, "now", lambda: at)
    journal.write("switched", "a")
    assert journal.since_switch() < 15


@pytest.mark.row("G8")
def test_journal_does_not_follow_a_link_in_its_place(journal: Journal, tmp_path: Path) -> None:
    journal.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"symbolic links|Too many"):
        journal.write("begin", "a")
    assert not (tmp_path / "elsewhere").exists()
