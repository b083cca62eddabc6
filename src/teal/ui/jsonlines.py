"""For programs: one JSON object a line on standard output."""

import json
import re
import sys
import time
from typing import Any

from teal.ui.base import Progress, Ui
from teal_host.wire.messages import Note, Step

_PROGRESS_EVERY_S = 0.2
_BEFORE_A_HASH = re.compile("#(?=#)")


def as_contract(report: Any) -> Any:
    """A report as JSON has it: the message of a finding, a change or a last command is called `says` there."""
    if isinstance(report, list):
        return [as_contract(item) for item in report]
    if isinstance(report, dict):
        return {"says" if name == "message" else name: as_contract(member) for name, member in report.items()}
    return report


class JsonLines(Ui):
    def __init__(self) -> None:
        self._last_progress = 0.0

    def step(self, step: Step) -> None:
        seconds = round(step.seconds, 3)
        emit({"type": "step", "name": step.name, "state": step.state, "seconds": seconds, "detail": step.detail})

    def note(self, note: Note) -> None:
        emit({"type": "note", "level": note.level, "text": note.text})

    def output(self, line: str) -> None:
        emit({"type": "output", "line": line})

    def why(self, text: str) -> None:
        emit({"type": "note", "level": "info", "text": text})

    def progress(self, progress: Progress) -> None:
        if progress.done == progress.total or time.monotonic() - self._last_progress >= _PROGRESS_EVERY_S:
            self._last_progress = time.monotonic()
            remaining = None if progress.remaining_s is None else round(progress.remaining_s, 1)
            rest = {"bytes_s": round(progress.bytes_s), "remaining_s": remaining}
            sizes = {"done": progress.done, "total": progress.total}
            emit({"type": "progress", "step": progress.step, **sizes, **rest})


def emit(value: dict[str, Any]) -> None:
    sys.stdout.write(_json(value) + "\n")
    sys.stdout.flush()


def _json(value: object) -> str:
    """In ASCII: one line for every reader, on every output. No `##`, which a CI's runner may obey within a line."""
    return _BEFORE_A_HASH.sub(r"\\u0023", json.dumps(value))


class ObjectWithList:
    """One JSON object with a list, written item by item: however long the list, no memory holds it."""

    def __init__(self, head: dict[str, Any], name: str) -> None:
        self._opening = _json({**head, name: []}).removesuffix("]}")

    def add(self, item: dict[str, Any]) -> None:
        sys.stdout.write(self._opening + _json(item))
        self._opening = ", "

    def close(self) -> None:
        self._write_end("]}")

    def fail(self, error: dict[str, Any]) -> None:
        """End an object that has begun; its last member tells why its list is not whole."""
        if self._opening == ", ":
            self._write_end(f'], "error": {_json(error)}}}')

    def _write_end(self, end: str) -> None:
        sys.stdout.write(f"{'' if self._opening == ', ' else self._opening}{end}\n")
        sys.stdout.flush()
