"""Puts the load on a place beside a test or a bench, in processes of its own, and reports the results at the end."""

import json
import subprocess
import sys
import threading
import time
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from bench.link import REPO
from bench.load.ledger import Verdict, read_asked, read_handled, verdict
from bench.load.place import Place

_ENDS_WITHIN_S = 60.0  # the longest turn of a client, and the time to write the results


@dataclass(frozen=True)
class Seen:
    """`due` is the planned start of each busy turn, by time.monotonic; `took` is the seconds from there to its end."""

    verdict: Verdict
    by_kind: Counter[str]
    by_color: Counter[str]
    failed: Counter[str]
    failures: list[str]
    due: list[float] = field(repr=False)
    took: list[float] = field(repr=False)


class Load:
    """`per_second` is the rate of all busy kinds together; slow kinds come on top. `processes` share the rate."""

    def __init__(
        self, place: Place, out: Path, per_second: float = 200, only: Sequence[str] = (), processes: int = 1
    ) -> None:
        self._out = out
        out.mkdir(parents=True)
        self._reports: list[dict[str, Any]] = [{"asked": {}, "failed": {}, "by_color": {}} for _ in range(processes)]
        rate = per_second / processes
        self._processes = [_start(place, f"{out.name}{number:x}x", out, rate, only) for number in range(processes)]
        for number, process in enumerate(self._processes):
            threading.Thread(target=self._listen, args=(number, process), daemon=True).start()

    @property
    def asked(self) -> Counter[str]:
        """The requests so far, by kind of client."""
        return sum((Counter(report["asked"]) for report in self._reports), Counter())

    @property
    def failed(self) -> int:
        """The failed turns so far."""
        return sum(sum(report["failed"].values()) for report in self._reports)

    def more(self, turns: int = 2, deadline_s: float = 60) -> None:
        """Waits until each kind of client has sent this many more requests."""
        before = self.asked
        deadline = time.monotonic() + deadline_s
        while not before or any(self.asked[kind] < count + turns for kind, count in before.items()):
            assert all(process.poll() is None for process in self._processes), "the load has ended"
            assert time.monotonic() < deadline, self._reports
            time.sleep(0.02)
            before = before or self.asked

    def end(self) -> None:
        """Lets each client finish its turn."""
        for process in self._processes:
            assert process.stdin
            process.stdin.close()
        codes = [process.wait(_ENDS_WITHIN_S) for process in self._processes]
        assert not any(codes), codes

    def seen(self, ledgers: Path) -> Seen:
        """The results after the end, compared with the ledger of the programs in that directory."""
        reports = [json.loads(path.read_text()) for path in self._out.glob("told-*")]
        counted = {
            name: sum((Counter(report[name]) for report in reports), Counter())
            for name in ("asked", "by_color", "failed")
        }
        failures = [line for report in reports for line in report["failures"]]
        result = verdict(read_asked(self._out.glob("asked-*")), read_handled(ledgers))
        moments = (_numbers(self._out, "due"), _numbers(self._out, "took"))
        return Seen(result, counted["asked"], counted["by_color"], counted["failed"], failures, *moments)

    def _listen(self, number: int, process: "subprocess.Popen[str]") -> None:
        pipe: IO[str] | None = process.stdout
        assert pipe
        with pipe:
            for line in pipe:
                self._reports[number] = json.loads(line)


def _start(place: Place, name: str, out: Path, per_second: float, only: Sequence[str]) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-m", "bench.load", name, place.address, str(place.port), str(out)]
    argv += [f"--per-second={per_second}", *(f"--only={kind}" for kind in only)]
    if place.certificate:
        argv += [f"--tls-port={place.tls_port}", f"--certificate={place.certificate}"]
    return subprocess.Popen(argv, cwd=REPO, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _numbers(out: Path, kind: str) -> list[float]:
    numbers = array("d")
    for path in sorted(out.glob(f"{kind}-*")):
        numbers.frombytes(path.read_bytes())
    return numbers.tolist()


@contextmanager
def load(place: Place, out: Path, per_second: float = 200, only: Sequence[str] = ()) -> Iterator[Load]:
    """Runs the load from before the block until its end."""
    running = Load(place, out, per_second, only)
    try:
        running.more()
        yield running
    finally:
        running.end()
