"""Measures how long `teal` and a bare interpreter take to start. The bench reaches no server and no network."""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

from bench.asked import at_least_one

_COMMANDS: dict[str, Sequence[str]] = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "teal --help": [sys.executable, "-m", "teal", "--help"],
    "teal --version": [sys.executable, "-m", "teal", "--version"],
    "teal status, without a teal.toml": [sys.executable, "-m", "teal", "status"],
}


def seconds(rounds: int) -> dict[str, list[float]]:
    """Measures the commands in turn, so that other load of the machine affects all of them alike."""
    took: dict[str, list[float]] = {name: [] for name in _COMMANDS}
    with tempfile.TemporaryDirectory(prefix="teal-bench-") as empty:
        for _ in range(rounds):
            for name, argv in _COMMANDS.items():
                began = time.perf_counter()
                subprocess.run(argv, cwd=empty, env=dict(os.environ), capture_output=True, check=False)
                took[name].append(time.perf_counter() - began)
    return took


def table(took: dict[str, list[float]]) -> str:
    medians = {name: statistics.median(each) for name, each in took.items()}
    bare = medians["python -c pass"]
    rows = [f"| {name} | {1000 * median:.0f} | {median / bare:.1f} |" for name, median in medians.items()]
    return "\n".join(["| | ms | times a bare start |", "| --- | ---: | ---: |", *rows])


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/start", description=__doc__)
    parser.add_argument("--rounds", type=at_least_one, default=30, help="starts of each command (default: 30)")
    print(table(seconds(parser.parse_args().rounds)))
    return 0
