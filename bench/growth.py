"""Measures how time and memory grow: with apps on the server, releases, journal lines, sizes, and files."""

import argparse
import datetime
import functools
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.lab import Failed, Lab, lab, result, teal
from bench.link import LINKS
from bench.peers.ours import Teal
from bench.requirements import check_requirements

_MEASURE = "import resource,subprocess,sys;c=subprocess.run(sys.argv[1:]).returncode;"
_MEASURE += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,file=sys.stderr);sys.exit(c)"
_RUNS = 3
_LOOK_EVERY_S = 0.01


@dataclass(frozen=True)
class Point:
    """One measurement.

    Memory is the peak of the process on each side, in MB; 0 if the process ended before the first look.
    """

    of: str
    size: int
    seconds: float
    here_mb: float
    there_mb: float


class Growth:
    def __init__(self, place: Lab, quick: bool) -> None:
        self._lab = place
        self._quick = quick
        self.points: list[Point] = []
        self._count = 0

    def run(self, only: list[str] | None) -> None:
        """Runs each series. A series starts with what earlier series left, so each series has its own first point."""
        for measure in (self.journal, self.size, self.files, self.apps):
            if only and measure.__name__ not in only:
                continue
            began = time.monotonic()
            try:
                measure()
            except Failed as error:
                _say(f"{measure.__name__} ends early: {error}")
            _say(f"{measure.__name__}: {time.monotonic() - began:.0f} s")

    def journal(self) -> None:
        """Writes journal lines and releases as a thousand deploys would have left them."""
        shop = Teal("journal", 8401)
        shop.prepare(self._lab)
        for size in (1, 100) if self._quick else (1, 10, 100, 1000):
            self._lengthen(shop.app, size)
            self._point("journal lines and releases", size, shop, self._small)

    def size(self) -> None:
        shop = Teal("size", 8402)
        shop.prepare(self._lab)
        for megabytes in (1, 20) if self._quick else (1, 10, 50, 200):
            self._point("artifact, MB", megabytes, shop, functools.partial(self._large, megabytes), runs=1)

    def files(self) -> None:
        shop = Teal("files", 8403)
        shop.prepare(self._lab)
        for count in (1, 1000) if self._quick else (1, 100, 2000, 20000):
            self._point("files", count, shop, functools.partial(self._many, count), runs=1)

    def apps(self) -> None:
        """Deploys the first app again and again. The other apps only exist and run."""
        first = Teal("apps0", 8500)
        first.prepare(self._lab)
        installed = 1
        for count in (1, 5) if self._quick else (1, 10, 50):
            while installed < count:
                other = Teal(f"apps{installed}", 8500 + installed)
                other.prepare(self._lab)
                self._deploy(other, self._small())
                installed += 1
            self._point("apps on the server", count, first, self._small)

    def _point(self, of: str, size: int, shop: Teal, make: Callable[[], Path], runs: int = _RUNS) -> None:
        self._deploy(shop, make())  # from here on, both colors exist
        took = [self._deploy(shop, make()) for _ in range(runs)]
        seconds = statistics.median(run[0] for run in took)
        self.points.append(Point(of, size, seconds, max(run[1] for run in took), max(run[2] for run in took)))
        _say(f"  {of} {size}: {seconds:.2f} s")

    def _deploy(self, shop: Teal, artifact: Path) -> tuple[float, float, float]:
        """Returns the seconds of a deploy, and the peak memory in MB on this side and on the server."""
        argv = [sys.executable, "-c", _MEASURE, *teal("deploy", "--json", "--artifact", str(artifact))]
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
            program = subprocess.Popen(
                argv,
                cwd=shop.directory(self._lab),
                env=self._lab.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
            )
            peak_there = self._peak_there(program)
            out.seek(0)
            errors.seek(0)
            output, complaints = out.read(), errors.read()
        if program.returncode:
            raise Failed(f"the deploy of {artifact} ended with {program.returncode}: {output[-800:]}")
        seconds = result(output)["seconds"]
        assert isinstance(seconds, dict)
        return float(seconds["total"]), int(complaints.split()[-1]) / 1024, peak_there

    def _peak_there(self, program: "subprocess.Popen[bytes]") -> float:
        """Looks at the server sides until their end. The kernel keeps the peak, so the last look is enough."""
        peak = 0
        while program.poll() is None:
            peak = max(peak, *(_peak(pid) for pid in _inside(self._lab)), 0)
            time.sleep(_LOOK_EVERY_S)
        return peak / 1024

    def _small(self) -> Path:
        """The example, with another text in each version."""
        self._count += 1
        base = self._lab.program.version("g")
        made = self._lab.work / "small/app"
        made.parent.mkdir(exist_ok=True)
        made.write_bytes(base.read_bytes() + self._count.to_bytes(8, "big"))
        made.chmod(0o755)
        return made

    def _large(self, megabytes: int) -> Path:
        """A program with this much data at its end, which does not compress."""
        made = self._small()
        with made.open("ab") as file:
            for _ in range(max(0, megabytes - 8)):
                file.write(random.randbytes(1 << 20))
        return made

    def _many(self, count: int) -> Path:
        """A directory with the program, and small files beside the program."""
        made = self._lab.work / "many"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        shutil.copy(self._small(), made / "app")
        for number in range(count - 1):
            folder = made / f"d{number // 500}"
            folder.mkdir(exist_ok=True)
            (folder / f"f{number}.txt").write_text(f"{number} {self._count}\n" * 8)
        return made

    def _lengthen(self, app: str, size: int) -> None:
        home = self._lab.server.root / "var/lib/teal" / app
        if not (home / "journal").exists():
            return
        journal, records = home / "journal", sorted((home / "records").glob("*.json"))
        story = journal.read_text().splitlines()[-6:]
        while len(journal.read_text().splitlines()) < size:
            with journal.open("a") as file:
                file.write("\n".join(story) + "\n")
        pattern = json.loads(records[-1].read_text())
        for seq in range(pattern["seq"] + 1, pattern["seq"] + 1 + size - len(records)):
            name = f"{seq:04d}-{pattern['release'].split('-')[1]}"
            text = json.dumps({**pattern, "seq": seq, "release": name, "outcome": "rolled_back"}, indent=1)
            (home / "records" / f"{name}.json").write_text(text)


def _inside(place: Lab) -> list[int]:
    """The server sides that run on the server."""
    pids = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes()
            if b"binascii" in words and b"python3" in words.split(b"\0")[0] and place.server.leader():
                pids.append(int(path.name))
        except OSError:
            continue
    return pids


def _peak(pid: int) -> int:
    """The peak memory in kB."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def table(points: list[Point]) -> str:
    lines = ["| | size | seconds | times the first | peak here, MB | peak there, MB |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    for point in points:
        first = next(earlier for earlier in points if earlier.of == point.of)
        memory = f"{point.here_mb:.0f} | {point.there_mb:.0f}"
        times = f"{point.seconds:.2f} | {point.seconds / first.seconds:.2f}"
        lines.append(f"| {point.of} | {point.size:,} | {times} | {memory} |")
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/growth", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure small sizes, in about a minute")
    parser.add_argument("--link", choices=LINKS, default="loopback")
    parser.add_argument("--only", action="append", choices=("journal", "size", "files", "apps"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    asked = parser.parse_args()
    check_requirements("ssh", "scp", "go", boots_server=True)
    with (
        tempfile.TemporaryDirectory(prefix="teal-bench-") as work,
        lab(Path(work)) as place,
        place.over(LINKS[asked.link]),
    ):
        growth = Growth(place, asked.quick)
        growth.run(asked.only)
    print(table(growth.points))
    if asked.json:
        about = {"at": datetime.date.today().isoformat(), "processors": os.cpu_count(), "link": asked.link}
        figures = {"schema": 1, **about, "rows": [asdict(row) for row in growth.points]}
        asked.json.write_text(json.dumps(figures, indent=1))
    return 0
