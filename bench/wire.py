"""Sends one change of one line over the same wire with Teal and with the usual tools, in the same run."""

import argparse
import datetime
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from bench.asked import at_least_one
from bench.lab import Failed, Lab, Line, Took, lab
from bench.link import LINKS, Link
from bench.peers.fujin import Fujin
from bench.peers.ours import Teal
from bench.peers.plain import Floor, PackedScp, Rsync, Scp
from bench.peers.scripted import Scripts
from bench.requirements import check_requirements


class Peer(Protocol):
    """A way to the server. `prepare` runs once, and the bench does not measure it."""

    @property
    def name(self) -> str: ...

    def prepare(self, lab: Lab) -> None: ...

    def deploy(self, line: Line, version: str, file: Path) -> Took: ...


@dataclass(frozen=True)
class Row:
    """Medians over the rounds. `first_s` is the first deploy, of the whole program.

    `chose` is the way of the last file.
    """

    link: str
    what: str
    up: int
    down: int
    connections: int
    ended_s: float
    live_s: float | None
    first_up: int | None = None
    first_s: float | None = None
    chose: str = ""


class Bench:
    def __init__(self, work: Lab, peers: list[Peer], rounds: int) -> None:
        self._lab = work
        self._peers = peers
        self._rounds = rounds
        self._left_out: dict[str, str] = {}
        self._count = 0

    def over(self, link: Link) -> list[Row]:
        """Runs all peers in turn, so that other load of the machine affects all of them alike."""
        took: dict[str, list[Took]] = {}
        with self._lab.over(link) as line:
            self._prepare()
            for number in range(self._rounds + 1):
                self._round(line, took, number)
        return [_row(link, name, runs) for name, runs in took.items()]

    def _prepare(self) -> None:
        for peer in self._peers:
            if peer.name not in self._left_out:
                try:
                    peer.prepare(self._lab)
                except Failed as error:
                    self._leave_out(peer, error)

    def _round(self, line: Line, took: dict[str, list[Took]], number: int) -> None:
        self._count += 1
        # a text of another length moves every byte behind the text
        version = f"w{self._count}-{'x' * (self._count * 7 % 23)}"
        file = self._lab.program.version(version)
        for peer in self._peers:
            if peer.name in self._left_out:
                continue
            try:
                took.setdefault(peer.name, []).append(peer.deploy(line, version, file))
            except Failed as error:
                took.pop(peer.name, None)
                self._leave_out(peer, error)
        teal = next((peer for peer in self._peers if isinstance(peer, Teal)), None)
        if teal and number and teal.name not in self._left_out:
            took.setdefault("teal status", []).append(teal.status(line))
            took.setdefault("teal rollback", []).append(teal.rollback(line))
        _say(f"  round {number} of {self._rounds}")

    def _leave_out(self, peer: Peer, error: Failed) -> None:
        self._left_out[peer.name] = str(error)
        _say(f"  {peer.name} is left out: {error}")


def _row(link: Link, name: str, runs: list[Took]) -> Row:
    first, later = (runs[0], runs[1:]) if not name.startswith("teal ") else (None, runs)
    lives = [took.live_s for took in later if took.live_s is not None]
    middle = {part: int(statistics.median(getattr(took.counted, part) for took in later)) for part in _COUNTS}
    return Row(
        link.name,
        name,
        middle["up"],
        middle["down"],
        middle["connections"],
        statistics.median(took.ended_s for took in later),
        statistics.median(lives) if lives else None,
        first.counted.up if first else None,
        (first.live_s or first.ended_s) if first else None,
        "; ".join(Teal.ways(later[-1])) if name == Teal.name else "",
    )


_COLUMNS = ("bytes up", "down", "connections", "live, s", "ended, s", "above a login, s", "times Teal", "first, s")
_COUNTS = ("up", "down", "connections")


def table(rows: Sequence[Row]) -> str:
    """The table as Markdown. `above` is the time beyond a bare login; `times Teal` is the ratio to Teal."""
    lines = []
    for name in dict.fromkeys(row.link for row in rows):
        here = [row for row in rows if row.link == name]
        link = LINKS[name]
        rate = f"{link.mbit:g} Mbit/s" if link.mbit else "no limit"
        lines += [f"\n{name}: {link.round_trip_ms:g} ms, {rate}\n"]
        lines += [f"| | {' | '.join(_COLUMNS)} |", f"| --- |{' ---: |' * len(_COLUMNS)}"]
        floor = next((row.ended_s for row in here if row.what == Floor.name), 0.0)
        teal_s = next((row.live_s for row in here if row.what == Teal.name), None)
        lines += [_line(row, floor, teal_s) for row in here]
        lines += [f"\nTeal sent the last one so: {row.chose}" for row in here if row.chose]
    return "\n".join(lines)


def _line(row: Row, floor: float, teal_s: float | None) -> str:
    there_s = row.live_s or row.ended_s
    live = f"{row.live_s:.2f}" if row.live_s else ""
    times = f"{there_s / teal_s:.1f}" if teal_s and not row.what.startswith(("teal ", "ssh ")) else ""
    first = f"{row.first_s:.2f}" if row.first_s else ""
    counts = f"{row.up:,} | {row.down:,} | {row.connections}"
    return f"| {row.what} | {counts} | {live} | {row.ended_s:.2f} | {there_s - floor:.2f} | {times} | {first} |"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/wire", description=__doc__)
    parser.add_argument(
        "--rounds", type=at_least_one, default=5, help="rounds of changes, after a first deploy (default: 5)"
    )
    parser.add_argument(
        "--link",
        action="append",
        choices=LINKS,
        help="the line; the option may come more than once (default: all lines)",
    )
    parser.add_argument(
        "--only", action="append", metavar="WORD", help="measure the peers with this word in their name, and Teal"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    return parser.parse_args()


def main() -> int:
    asked = _arguments()
    everybody: list[Peer] = [Floor(), Scp(), PackedScp(), Rsync(), Scripts(), Fujin(), Teal()]
    wanted = asked.only or [""]
    peers = [each for each in everybody if isinstance(each, Floor | Teal) or any(word in each.name for word in wanted)]
    rows: list[Row] = []
    rsync = ["rsync"] if any(isinstance(peer, Rsync) for peer in peers) else []
    check_requirements("ssh", "scp", "go", *rsync, boots_server=True)
    with tempfile.TemporaryDirectory(prefix="teal-bench-") as work, lab(Path(work)) as place:
        bench = Bench(place, peers, asked.rounds)
        for name in asked.link or list(LINKS):
            _say(f"{name}:")
            rows += bench.over(LINKS[name])
    print(table(rows))
    if asked.json:
        about = {"at": datetime.date.today().isoformat(), "rounds": asked.rounds, "processors": os.cpu_count()}
        asked.json.write_text(json.dumps({"schema": 1, **about, "rows": [asdict(row) for row in rows]}, indent=1))
    return 0
