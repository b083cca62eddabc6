"""The links of the measurements, and the relay that makes a link."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Link:
    """`mbit` is the rate in each direction; 0 means no limit."""

    name: str
    round_trip_ms: float
    mbit: float


LINKS = {
    link.name: link
    for link in (
        Link("cafe", 50, 50),
        Link("thin", 50, 1),
        Link("loopback", 0, 0),
    )
}


@dataclass(frozen=True)
class Counted:
    """Bytes of TCP's content in both directions."""

    up: int
    down: int
    connections: int


class Wire:
    """A running relay. `port` of 127.0.0.1 is the near end of the wire."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.port = int(self._heard()["port"])

    def counted(self) -> Counted:
        """What the relay has counted since the last call."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Counted(**self._heard())

    def _heard(self) -> dict[str, int]:
        assert self._process.stdout is not None
        heard = json.loads(self._process.stdout.readline())
        assert isinstance(heard, dict)
        return heard


@contextmanager
def wire(link: Link, host: str, port: int) -> Iterator[Wire]:
    """Runs a relay whose far end is `host:port`."""
    like = ["--round-trip-ms", str(link.round_trip_ms), "--mbit", str(link.mbit)]
    with subprocess.Popen(
        [sys.executable, "-m", "bench.relay", "--to", f"{host}:{port}", *like],
        cwd=REPO,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Wire(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()  # ends the relay
            process.wait(10)
