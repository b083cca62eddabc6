"""Runs hundreds of deploys and rollbacks under every kind of client. Counts the lost and the doubled requests."""

import argparse
import datetime
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench.asked import at_least_one
from bench.link import REPO

sys.path.insert(0, str(REPO / "tests"))

from bench.requirements import check_requirements
from harness.switches import SwitchGoal, SwitchRun, run_switches


def report(switch_run: SwitchRun) -> str:
    verdict, seen = switch_run.seen.verdict, switch_run.seen
    bound = f"1 in {verdict.requests // 3:,}" if verdict.clean else "not zero"
    lines = [
        "| switches | requests | lost | doubled | seconds | lost at most, with 95 % certainty |",
        "| ---: | ---: | ---: | ---: | ---: | ---: |",
        f"| {len(switch_run.colors)} | {verdict.requests:,} | {verdict.lost} | {verdict.doubled} "
        f"| {switch_run.seconds:.0f} | {bound} |",
        "",
        "| client | requests | turns that failed |",
        "| --- | ---: | ---: |",
        *(f"| {kind} | {count:,} | {seen.failed[kind]} |" for kind, count in seen.by_kind.items()),
    ]
    return "\n".join([*lines, *seen.failures])


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/switches", description=__doc__)
    parser.add_argument("--switches", type=at_least_one, default=200, help="the least number of switches")
    parser.add_argument("--requests", type=int, default=1_000_000, help="the least number of requests")
    parser.add_argument(
        "--per-second", type=float, default=1500, help="requests a second of the clients that are answered at once"
    )
    parser.add_argument("--processes", type=int, default=2, help="processes that send the load")
    parser.add_argument("--debian", type=int, choices=(12, 13), default=12)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    asked = parser.parse_args()
    check_requirements("ssh", "go", "openssl", boots_server=True)
    goal = SwitchGoal(asked.switches, asked.requests, asked.per_second, asked.processes, asked.debian)
    with tempfile.TemporaryDirectory(prefix="teal-bench-") as work:
        switch_run = run_switches(goal, Path(work), lambda line: print(line, file=sys.stderr, flush=True))
    print(report(switch_run))
    if asked.json:
        figures = {"schema": 1, "at": datetime.date.today().isoformat(), "wanted": asdict(goal)}
        verdict = switch_run.seen.verdict
        counts = {"switches": len(switch_run.colors), "requests": f"{verdict.requests:,}"}
        figures |= {
            "seconds": switch_run.seconds,
            "counted": {**counts, "lost": verdict.lost, "doubled": verdict.doubled},
        }
        asked.json.write_text(json.dumps(figures, indent=1))
    return 0 if switch_run.seen.verdict.clean and switch_run.turned and not switch_run.reloaded else 1
