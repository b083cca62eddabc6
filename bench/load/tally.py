"""What the clients of one process have seen."""

import json
import time
from array import array
from collections import Counter
from pathlib import Path
from typing import Any

_KEPT_FAILURES = 40


class Tally:
    def __init__(self, name: str) -> None:
        self._name = name
        self._asked: dict[str, bool] = {}
        self._by_kind: Counter[str] = Counter()
        self._by_color: Counter[str] = Counter()
        self._failures: list[str] = []
        self._failed: Counter[str] = Counter()
        self._due, self._took = array("d"), array("d")

    def new(self, kind: str) -> str:
        """An id that no other request has."""
        ident = f"{self._name}{len(self._asked):08x}"
        self._asked[ident] = False
        self._by_kind[kind] += 1
        return ident

    def answered(self, ident: str, color: str) -> None:
        """Records a complete and correct answer. A client does not call this method for any other answer."""
        self._asked[ident] = True
        self._by_color[color] += 1

    def failed(self, kind: str, why: str) -> None:
        self._failed[kind] += 1
        if len(self._failures) < _KEPT_FAILURES:
            self._failures.append(f"at {time.monotonic():.3f} {kind}: {why}")

    def took(self, due: float, seconds: float) -> None:
        """Records the time from the planned start, so that a stall shows as late answers and not as fewer requests."""
        self._due.append(due)
        self._took.append(seconds)

    def told(self) -> dict[str, Any]:
        failures = {"failed": dict(self._failed), "failures": self._failures}
        return {"asked": dict(self._by_kind), "by_color": dict(self._by_color), **failures}

    def save(self, folder: Path) -> None:
        lines = (f"{ident} {'+' if answered else '-'}\n" for ident, answered in self._asked.items())
        (folder / f"asked-{self._name}").write_text("".join(lines))
        for kind, values in (("due", self._due), ("took", self._took)):
            (folder / f"{kind}-{self._name}").write_bytes(values.tobytes())
        (folder / f"told-{self._name}").write_text(json.dumps(self.told()))
