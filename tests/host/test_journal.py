"""The history of an app: nothing that a crash or a stranger left in the journal hides a readable line."""

import datetime
import errno
import json
from math import inf
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from teal_host.ground import files
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
    ("lines", "unfinished"),
    [
        ([], None),
        ([BEGIN, END], None),
        ([BEGIN, START, TURN, TURNED, END], None),
        ([END], None),
        ([START], None),
        ([BEGIN], UnfinishedStory("a", "0001-aaaaaaaaaaaa", None, False)),
        ([BEGIN, START], UnfinishedStory("a", "0001-aaaaaaaaaaaa", "blue", True)),
        ([BEGIN, START, TURN], UnfinishedStory("a", "0001-aaaaaaaaaaaa", "blue", True, had_visitors=True)),
        (
            [BEGIN, START, TURN, TURNED],
            UnfinishedStory("a", "0001-aaaaaaaaaaaa", "blue", True, switched=True, had_visitors=True),
        ),
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
    journal: Journal, lines: list[Any], unfinished: UnfinishedStory | None
) -> None:
    hold(journal, *lines)
    assert journal.unfinished() == unfinished


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
    """Makes relative times absolute, because pytest collects all tests long before the last test runs."""
    copy = dict(line)
    if isinstance(line.get("up"), int) and abs(line["up"]) < 10**9:
        copy["up"] = journals.up_s() + line["up"]
    if isinstance(line.get("at"), datetime.timedelta):
        copy["at"] = (datetime.datetime.now(datetime.UTC) + line["at"]).isoformat()
    return copy


@pytest.mark.parametrize(
    ("lines", "passed"),
    [
        ([{**TURNED, "up": -60}, END, {**TURNED, "up": -20}, BEGIN], 20),
        ([{**TURNED, "up": -20}, {**TURNED, "up": "long"}], 20),
        ([{**TURNED, "up": -20}, {**TURNED, "at": 5}, {"event": "switched"}], 20),
        ([{**TURNED, "up": -20}, {**TURNED, "up": 10**400}, {**TURNED, "up": -(10**400)}], 20),
        ([{**TURNED, "up": 900}], inf),  # of a boot before this one
        ([{**TURNED, "at": -HOUR}], 3600),  # of a Teal that did not write the boot
        ([{**TURNED, "at": HOUR}], 0),
        ([BEGIN, START, END], inf),
    ],
)
def test_time_since_the_switch_counts_from_the_last_readable_switch(
    journal: Journal, lines: list[Any], passed: float
) -> None:
    hold(journal, *map(as_of_now, lines))
    assert journal.since_switch() == pytest.approx(passed, abs=15)


@pytest.mark.parametrize("junk", [7, [], {}, "../x", "\ud800", "purple"])
def test_unfinished_story_has_a_release_and_a_color_or_none(journal: Journal, junk: Any) -> None:
    hold(journal, {**BEGIN, "release": junk, "unjudged": junk, "color": junk})
    assert journal.unfinished() == UnfinishedStory("a", None, None, started=False)


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
@pytest.mark.row("S15")
def test_journal_does_not_follow_a_link_in_its_place(journal: Journal, tmp_path: Path) -> None:
    journal.path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"symbolic links|Too many"):
        journal.write("begin", "a")
    assert not (tmp_path / "elsewhere").exists()


def test_journal_parses_each_line_once_however_often_it_is_asked(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    story: list[dict[str, Any]] = [BEGIN, START, TURN, TURNED, END]
    hold(journal, *(story * 200))
    parsed: list[dict[str, Any]] = []

    def converted(line: dict[str, Any]) -> dict[str, Any]:
        parsed.append(line)
        return line

    monkeypatch.setattr(journals, "_converted", converted)
    for _ in range(3):
        assert (journal.is_newer(), journal.has("a"), journal.unfinished()) == (False, True, None)
        assert journal.last_story() is not None
    journal.write("begin", "b", release="0002-bbbbbbbbbbbb")
    assert journal.unfinished() == UnfinishedStory("b", "0002-bbbbbbbbbbbb", None, False)
    assert len(parsed) == 1001


def test_journal_reads_a_file_that_took_its_place_from_the_beginning(journal: Journal) -> None:
    hold(journal, BEGIN, END)
    assert journal.lines() == [BEGIN, END]
    beside = Journal(journal.path.with_name("other"))
    hold(beside, START, START, START)
    beside.path.replace(journal.path)
    assert journal.lines() == [START] * 3
    journal.path.unlink()
    assert journal.lines() == []


def long_journal(journal: Journal) -> list[dict[str, Any]]:
    """A journal that is longer than Teal ever keeps.

    The last story is far from the end, behind commands that had nothing to do.
    """
    story = [{**line, "id": "last", "up": 5} for line in (BEGIN, START, TURN, TURNED, END)]
    many = [{**BEGIN, "id": str(number), "more": "x" * 500} for number in range(3_000)]
    unchanged = [{"event": "unchanged", "id": str(number), "more": "x" * 500} for number in range(3_000, 6_000)]
    hold(journal, *many, END, *story, *unchanged)
    return story


def test_long_journal_is_trimmed_and_still_answers_what_commands_ask(journal: Journal) -> None:
    (begin, _, _, turned, end) = long_journal(journal)
    before, since = journal.path.read_bytes(), journal.since_switch()
    journal.trim()
    assert journal.path.stat().st_size < journals.TRIMMED_TO + 2_000
    assert journal.path.with_name("journal.1").read_bytes() == before
    assert (
        oct(journal.path.stat().st_mode)[-3:] == oct(journal.path.with_name("journal.1").stat().st_mode)[-3:] == "600"
    )
    assert journal.lines()[:3] == [begin, turned, end]
    assert (journal.last_story(), journal.unfinished()) == ((begin, end), None)
    assert journal.has("5999")
    assert journal.since_switch() == pytest.approx(since, abs=60)
    short = journal.path.read_bytes()
    journal.trim()
    assert journal.path.read_bytes() == short


def test_journal_is_not_trimmed_in_the_middle_of_a_story_or_on_a_full_disk(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_journal(journal)
    journal.write("begin", "now", release="0001-aaaaaaaaaaaa")
    size = journal.path.stat().st_size
    journal.trim()
    assert journal.path.stat().st_size == size
    journal.write("end", "now")
    whole = journal.path.read_bytes()

    def full(*ignored: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write", full)
    journal.trim()
    assert journal.path.read_bytes() == whole


@pytest.mark.parametrize("act", range(4))
def test_trim_that_is_killed_at_any_act_leaves_the_old_or_the_new_journal(
    journal: Journal, act: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    (begin, *_, end) = long_journal(journal)
    acts: list[str] = []

    def witness(name: str) -> None:
        acts.append(name)
        if len(acts) > act:
            raise Killed

    monkeypatch.setattr(files, "witness", witness)
    with pytest.raises(Killed):
        journal.trim()
    again = Journal(journal.path)
    assert (again.last_story(), again.unfinished(), again.has("5999")) == ((begin, end), None, True)
    monkeypatch.setattr(files, "witness", acts.append)
    again.trim()
    assert again.path.stat().st_size < journals.TRIMMED_TO + 2_000
