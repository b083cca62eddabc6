"""What Teal does by itself, beside libraries that do the same: messages, classes, and patches of a program."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.asked import at_least_one
from bench.link import REPO
from bench.program import Program
from bench.requirements import check_requirements

_PACKAGES = ("execnet==2.1.2", "mitogen==0.3.54", "bsdiff4==1.3.2", "backports.zstd==1.8.0; python_version < '3.14'")
_ENVIRONMENT = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "teal/bench/choices"
_PEERS = Path(__file__).parent / "peers"
_HANDLER = ('\t\tw.Header().Set("Content-Type", "application/json")\n', '\t\tw.Header().Set("X-Line", key+value)\n')
_IMPORT = ("\t\tjson.NewEncoder(w)", '\t\tw.Header().Set("X-Digest", fmt.Sprint(sha512.Sum512([]byte(value))))\n')


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/choices", description=__doc__)
    parser.add_argument("--rounds", type=at_least_one, default=5, help="of each; medians are shown (default: 5)")
    rounds = parser.parse_args(arguments).rounds
    check_requirements("go")
    _prepare()
    print("| messages to a second Python | round trip, µs | 10 MB, MB/s |\n| --- | ---: | ---: |")
    for name in ("teal", "execnet", "mitogen"):
        took = _medians(rounds, "pipes.py", name)
        print(f"| {name} | {took['round_trip_us']:.0f} | {took['mb_s']:.0f} |", flush=True)
    print("\n| classes of messages | defined in, µs | a value in, µs |\n| --- | ---: | ---: |")
    for name in ("values", "dataclass", "NamedTuple"):
        took = _medians(rounds, "definitions.py", name)
        print(f"| {name} | {took['define_us']:.0f} | {took['make_us']:.1f} |", flush=True)
    with tempfile.TemporaryDirectory(prefix="teal-choices-") as work:
        _patches(rounds, Path(work))
    return 0


def _patches(rounds: int, work: Path) -> None:
    program = Program(work)
    old = program.version("v1")
    print(f"\n| a patch of {old.stat().st_size / 1e6:.1f} MB | bytes | made in, s | with memory, MB | applied in, s |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for change, new in _changes(program):
        for name in ("teal", "zstd", "bsdiff"):
            took = _medians(rounds, "deltas.py", name, str(old), str(new))
            row = f"{took['bytes']:,.0f} | {took['made_s']:.2f} | {took['memory_mb']:.0f} | {took['applied_s']:.2f}"
            print(f"| {change}: {name} | {row} |", flush=True)


def _changes(program: Program) -> list[tuple[str, Path]]:
    line, added = _HANDLER
    call, used = _IMPORT
    new_imports = (('\t"flag"\n', '\t"flag"\n\t"fmt"\n\t"crypto/sha512"\n'), (call, used + call))
    return [
        ("one constant", program.version("v2, mended")),
        ("a line in a handler", program.version("handler", (line, line + added))),
        ("two new imports", program.version("imports", *new_imports)),
    ]


def _prepare() -> None:
    """Prepares an environment with the libraries from the Python index, once."""
    stamp = _ENVIRONMENT / "made-for"
    if stamp.exists() and stamp.read_text() == repr(_PACKAGES):
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(_ENVIRONMENT)], check=True)
    pip = [str(_ENVIRONMENT / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *_PACKAGES], check=True)
    stamp.write_text(repr(_PACKAGES))


def _medians(rounds: int, script: str, *arguments: str) -> dict[str, float]:
    taken = [_run(script, *arguments) for _ in range(rounds)]
    return {name: statistics.median(each[name] for each in taken) for name in taken[0]}


def _run(script: str, *arguments: str) -> dict[str, Any]:
    argv = [str(_ENVIRONMENT / "bin/python"), str(_PEERS / script), *arguments]
    env = {**os.environ, "PYTHONPATH": str(REPO / "src")}
    done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, check=True)
    value = json.loads(done.stdout)
    assert isinstance(value, dict)
    return value
