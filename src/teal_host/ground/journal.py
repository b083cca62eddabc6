"""The append-only history of one app, a JSON object a line. It is intent: where it and the link differ, the link wins.

A story begins with `begin` and ends with `end`; one without its `end` was interrupted, and `recover` sees to it.
"""

import contextlib
import datetime
import json
import os
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from teal_host.ground import files
from teal_host.ground.errors import DAMAGED
from teal_host.wire.grammar import COLORS, release_name
from teal_host.wire.outcomes import FAILURES
from teal_host.wire.values import dataclass

FORMAT = 2
LONGEST, TRIMMED_TO = 1024 * 1024, 512 * 1024  # bytes, after a story
_SWITCHES = ("switching", "switched", "rolled_back")
_NAMES_OF_FORMAT_1: Dict[Any, Any] = {"turned_back": "rolled_back", "aborted": "cancelled"}  # of events and of codes


class Journal:
    """Each line is parsed once, however often a command asks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parsed: List[Dict[str, Any]] = []
        self._inode, self._at = 0, 0  # of which file, and up to where

    def write(self, event: str, story: str, **facts: Any) -> None:
        """Add what is about to happen, or how it ended; on the disk when this returns."""
        line = {"format": FORMAT, "at": now(), "up": up_s(), "event": event, "id": story, **facts}
        files.append_line(self.path, json.dumps(line, ensure_ascii=False), mode=0o600)

    def lines(self) -> List[Dict[str, Any]]:
        """All that can be read, in the words of now; a line that a crash cut is left out."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._at:
                    self._parsed, self._inode, self._at = [], status.st_ino, 0
                file.seek(self._at)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._parsed += _entries(whole)
        self._at += len(whole)
        return [*self._parsed, *_entries(text[len(whole) :])]

    def trim(self) -> None:
        """After a story, so that no command ever reads much: the last part stays, and what `last_story` and
        `since_switch` need. The journal as it was is `journal.1` until the next time.

        Two writes, each whole or not at all. A failure does no harm: the next story tries again.
        """
        with contextlib.suppress(OSError):
            if self.path.stat().st_size <= LONGEST or self.unfinished():
                return
            text = self.path.read_bytes()
            files.write(self.path.with_name(f"{self.path.name}.1"), text, 0o600)
            files.write(self.path, b"".join(line + b"\n" for line in _remaining(text.splitlines())), 0o600)

    def is_newer(self) -> bool:
        """Has a newer Teal written a line whose meaning this one does not know?"""
        return any(isinstance(line.get("format"), int) and line["format"] > FORMAT for line in self.lines())

    def has(self, story: str) -> bool:
        """Was a story of this id begun, or found to have nothing to do?"""
        return any(line.get("event") in ("begin", "unchanged") and line.get("id") == story for line in self.lines())

    def has_rollback_since(self, up: float) -> bool:
        """Did a rollback begin, or find its release live, since this machine was up for so many seconds?

        A line of an earlier boot may name a time that is still to come.
        """
        events, until = ("begin", "unchanged"), up_s()
        rollbacks = (line for line in self.lines() if line.get("event") in events and line.get("what") == "rollback")
        times = (line.get("up") for line in rollbacks)
        return any(isinstance(time, float) and up < time <= until for time in times)

    def ending(self, story: str) -> Optional[Dict[str, Any]]:
        """The line with which a story of this id ended."""
        ended = ("end", "unchanged")
        ends = (line for line in reversed(self.lines()) if line.get("event") in ended and line.get("id") == story)
        return next(ends, None)

    def last_story(self) -> "Optional[Tuple[Dict[str, Any], Dict[str, Any]]]":
        """The first and the last line of the last story that came to its end."""
        lines = self.lines()
        end = next((line for line in reversed(lines) if line.get("event") == "end"), None)
        begins = (line for line in lines if end and line.get("event") == "begin" and line.get("id") == end.get("id"))
        begin = next(begins, None)
        return (begin, end) if begin and end else None

    def unfinished(self) -> Optional["UnfinishedStory"]:
        """The last story, if it did not come to its end."""
        story: List[Dict[str, Any]] = []
        for line in self.lines():
            if line.get("event") == "begin":
                story = [line]
            elif line.get("event") == "end":
                story = []
            elif story:
                story.append(line)
        return _unfinished(story) if story else None

    def since_switch(self) -> float:
        """Seconds since traffic was last turned. A turn that was interrupted has only said that it begins.

        By the time that the machine is up, which no set clock changes. Of an earlier boot nothing is left to wait for.
        """
        for line in reversed(self.lines()):
            if line.get("event") in _SWITCHES:
                with contextlib.suppress(*DAMAGED):
                    return _since(line)
        return float("inf")


@dataclass(frozen=True)
class UnfinishedStory:
    """A story that was interrupted: which, of which release, on which color, and whether that color was started.

    `switched`: its release was live, maybe only until traffic was rolled back. `had_visitors`: the same, or the switch
    had begun, so that visitors may have come. `unjudged`: from which release a rollback was to go back, where a story
    of that release had been interrupted. `is_eviction`: it was ending everything of the app.
    """

    id: str
    release: Optional[str]
    color: Optional[str]
    started: bool
    is_rollback: bool = False
    switched: bool = False
    had_visitors: bool = False
    unjudged: Optional[str] = None
    is_eviction: bool = False


def _remaining(lines: Sequence[bytes]) -> List[bytes]:
    """What stays of a long journal whose last story has ended: the end of it, and before that what is asked for."""
    entries = [next(iter(_entries(line)), {}) for line in lines]
    first, size = len(lines), 0
    while first and size + len(lines[first - 1]) < TRIMMED_TO:
        first -= 1
        size += len(lines[first]) + 1
    needed = {_last(entries, "end"), _last(entries, *_SWITCHES)}
    needed.add(_last(entries, "begin", story=entries[_last(entries, "end")].get("id")))
    return [line for number, line in enumerate(lines) if number >= first or number in needed]


def _last(entries: Sequence[Dict[str, Any]], *events: str, story: Any = None) -> int:
    """The number of the last line of these events; of nothing the last line of all."""
    numbers = (n for n in reversed(range(len(entries))) if entries[n].get("event") in events)
    return next((n for n in numbers if story is None or entries[n].get("id") == story), len(entries) - 1)


def _entries(text: bytes) -> List[Dict[str, Any]]:
    entries = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError, RecursionError):
            entry = json.loads(line)
            entries += [_converted(entry)] if isinstance(entry, dict) else []
    return entries


def _converted(line: Dict[str, Any]) -> Dict[str, Any]:
    """A line of format 1 had no number, called its event `act`, and told a failure's code as its outcome."""
    if "act" not in line or "format" in line:
        return line
    answer = line.get("answer")
    if line["act"] == "end":
        code = str((answer if isinstance(answer, dict) else line).get("outcome"))
        code = _NAMES_OF_FORMAT_1.get(code, code)
        line["outcome"] = FAILURES[code][1] if code in FAILURES else code
        if isinstance(answer, dict) and "message" in answer:
            answer["code"] = code
    act = str(line.pop("act"))
    return {**line, "event": _NAMES_OF_FORMAT_1.get(act, act)}


def release_of(value: Any) -> Optional[str]:
    """What a line says is a release, if it is the name of one."""
    return value if isinstance(value, str) and release_name(value) is None else None


def up_s() -> float:
    """How long this machine is up, also while it slept."""
    return round(time.clock_gettime(time.CLOCK_BOOTTIME), 3)


def _since(line: Dict[str, Any]) -> float:
    if "up" in line:
        passed = up_s() - line["up"]
        return float(passed) if passed >= 0 else float("inf")
    at = datetime.datetime.fromisoformat(line["at"])  # written by a Teal that only looked at the clock
    return max(0.0, (datetime.datetime.now(datetime.timezone.utc) - at).total_seconds())


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="milliseconds")


def _unfinished(story: List[Dict[str, Any]]) -> UnfinishedStory:
    facts: Dict[str, Any] = {}
    for line in story:
        facts.update(line)
    return UnfinishedStory(
        str(facts.get("id")),
        release_of(facts.get("release")),
        facts.get("color") if facts.get("color") in COLORS else None,
        any(x.get("event") == "start" for x in story),
        facts.get("what") == "rollback",
        any(x.get("event") in ("switched", "rolled_back") for x in story),
        any(x.get("event") in _SWITCHES for x in story),
        release_of(facts.get("unjudged")),
        facts.get("evict") is True,
    )
