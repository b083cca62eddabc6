"""Half an hour of deploys under every kind of client: what grows, on the server and on the machine that deploys.

The acts are not only successful deploys. Rollbacks, refused programs and killed clients also leave things behind, if
anything does.
"""

import argparse
import datetime
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path

from bench.link import REPO

sys.path.insert(0, str(REPO / "tests"))

from bench.load import backend
from bench.load.running import Seen
from bench.requirements import check_requirements
from harness.ssh_access import run
from harness.switches import LoadedServer, SwitchGoal, under_load
from harness.world import wait_until

_WARM = 84  # acts before the first look, so that prune has removed old releases and the client's cache is full
_LOOKS = 5  # looks at each end, of which the median counts
_CYCLE = ("deploy", "rollback", "deploy", "refused", "deploy", "rollback", "killed")
_KILL_AFTER_S = (0.1, 0.4, 0.7, 1.0, 1.5)
_NOBODY = "#!/bin/sh\nexit 3\n"

# Runs on the server. Prints processes, descriptors, memory in kB (each process has its share of shared pages), nginx's
# part of the memory, and what is on the disk, in bytes and in names. The other logs of nginx do not count, because the
# load and logrotate decide their size.
_LOOK = """
import os, sys
nginx = memory = descriptors = 0
pids = [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
for pid in pids:
    try:
        descriptors += len(os.listdir(f"/proc/{pid}/fd"))
        rollup = open(f"/proc/{pid}/smaps_rollup").read()
        pss = int(rollup.split("Pss:")[1].split()[0])
        memory += pss
        nginx += pss if open(f"/proc/{pid}/comm").read().strip() == "nginx" else 0
    except (OSError, IndexError):
        pass
size = names = 0
for top in sys.argv[1:]:
    for folder, _, files in os.walk(top):
        files = [name for name in files if folder != "/var/log/nginx" or name.startswith("teal-")]
        names += 1 + len(files)
        for name in files:
            try:
                size += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                pass
print(len(pids), descriptors, memory, nginx, size, names)
"""
_KEPT = ("/var/lib/teal", "/etc/teal", "/etc/nginx", "/etc/systemd", "/run/teal", "/var/log/nginx", "/tmp", "/var/tmp")


@dataclass(frozen=True)
class Look:
    """What a look between two acts measures. Sizes are in kB."""

    processes: int
    descriptors: int
    memory: int
    nginx_memory: int
    disk: int
    names: int
    here_disk: int
    here_names: int
    here_processes: int


def look(loaded: LoadedServer) -> Look:
    counts = run(loaded.server, "python3", "-I", "-S", "-c", _LOOK, *_KEPT)
    processes, descriptors, memory, nginx, size, names = map(int, counts.split())
    here = [path for part in ("state", "cache", "tmp") for path in (loaded.app.world.home / part).rglob("*")]
    kilobytes = sum(path.lstat().st_size for path in here) // 1024
    stayed = len(loaded.app.world.processes())
    return Look(processes, descriptors, memory, nginx, size // 1024, names, kilobytes, len(here), stayed)


class Acts:
    """The acts that repeat, and how often each has run."""

    def __init__(self, loaded: LoadedServer) -> None:
        self.done: Counter[str] = Counter()
        self._app = loaded.app
        (self._app.world.home / "tmp").mkdir()

    def next(self) -> None:
        number = self.done.total()
        name = _CYCLE[number % len(_CYCLE)]
        getattr(self, f"_{name}")(number)
        self.done[name] += 1

    def _deploy(self, number: int) -> None:
        backend.write(self._app.directory / "program", f"version {number}")
        self._ended(0, "deploy")

    def _rollback(self, number: int) -> None:
        self._ended(0, "rollback")

    def _refused(self, number: int) -> None:
        (self._app.directory / "program").write_text(_NOBODY)
        self._ended(6, "deploy")

    def _killed(self, number: int) -> None:
        """Kills the client. The server side finishes alone, and then the next command runs."""
        backend.write(self._app.directory / "program", f"version {number}")
        client = self._app.world.start("deploy", cwd=self._app.directory)
        time.sleep(_KILL_AFTER_S[number // len(_CYCLE) % len(_KILL_AFTER_S)])
        client.send_signal(signal.SIGKILL)
        client.communicate()
        wait_until(lambda: not any("at work" in note for note in self._app.status()["notes"]), 60)

    def _ended(self, code: int, command: str) -> None:
        done = self._app.teal(command, "--json", TMPDIR=str(self._app.world.home / "tmp"))
        assert done.code == code, done


@dataclass(frozen=True)
class Endured:
    seconds: float
    acts: dict[str, int]
    looks: list[Look]
    seen: Seen

    @property
    def ends(self) -> tuple[Look, Look]:
        """The medians of the first looks and of the last looks."""
        return _median(self.looks[:_LOOKS]), _median(self.looks[-_LOOKS:])


def _median(looks: Sequence[Look]) -> Look:
    return Look(*(int(statistics.median(column)) for column in zip(*map(astuple, looks), strict=True)))


def endured(goal: SwitchGoal, minutes: float, work: Path, say: Callable[[str], None]) -> Endured:
    with under_load(goal, work, keep={"watch_s": 1}) as loaded:
        acts = Acts(loaded)
        looks: list[Look] = []
        while acts.done.total() < _WARM:
            acts.next()
        began = time.monotonic()
        while time.monotonic() - began < minutes * 60 or len(looks) < 2 * _LOOKS:
            for _ in _CYCLE:
                acts.next()
            looks.append(look(loaded))
            say(f"{time.monotonic() - began:.0f} s, {dict(acts.done)}, {loaded.load.failed} failed: {looks[-1]}")
        seconds = time.monotonic() - began
        return Endured(seconds, dict(acts.done), looks, loaded.seen())


def report(endured: Endured) -> str:
    first, last = endured.ends
    verdict, deploys = endured.seen.verdict, len(endured.looks) * len(_CYCLE)
    lines = [
        f"{endured.seconds / 60:.0f} minutes, {endured.acts}: {verdict.requests:,} requests, {verdict.lost} lost, "
        f"{verdict.doubled} doubled",
        "",
        "| | at first | at the end | ratio | an act |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for field in fields(Look):
        a, b = getattr(first, field.name), getattr(last, field.name)
        ratio = f"{b / a:.3f}" if a else "–"
        lines.append(f"| {field.name.replace('_', ' ')} | {a:,} | {b:,} | {ratio} | {(b - a) / deploys:+.2f} |")
    return "\n".join([*lines, *endured.seen.failures])


def counted(endured: Endured) -> dict[str, str]:
    """The figures for docs/guarantees.md: the acts, and what the looks measured at both ends."""
    first, last = endured.ends
    verdict = endured.seen.verdict
    counts = {name: f"{count:,}" for name, count in endured.acts.items()}
    counts |= {"requests": f"{verdict.requests:,}", "lost": str(verdict.lost), "doubled": str(verdict.doubled)}
    ends = {field.name: (getattr(first, field.name), getattr(last, field.name)) for field in fields(Look)}
    return counts | {name: f"{before:,} → {after:,}" for name, (before, after) in ends.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/endurance", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--per-second", type=float, default=150, help="of the clients that are answered at once")
    parser.add_argument("--debian", type=int, choices=(12, 13), default=12)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    asked = parser.parse_args()
    check_requirements("ssh", "go", "openssl", boots_server=True)
    goal = SwitchGoal(0, per_second=asked.per_second, debian=asked.debian)
    with tempfile.TemporaryDirectory(prefix="teal-bench-") as work:
        measured = endured(goal, asked.minutes, Path(work), lambda line: print(line, file=sys.stderr, flush=True))
    print(f"{datetime.date.today().isoformat()}, {os.cpu_count()} processors, Debian {asked.debian}")
    print(report(measured))
    if asked.json:
        figures = {
            "schema": 1,
            "at": datetime.date.today().isoformat(),
            "seconds": measured.seconds,
            "acts": measured.acts,
        }
        figures |= {"ends": [asdict(end) for end in measured.ends], "counted": counted(measured)}
        asked.json.write_text(json.dumps(figures, indent=1))
    return 0 if measured.seen.verdict.clean else 1
