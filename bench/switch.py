"""Compares ways to switch traffic from one program to another: the losses, the delays, and the costs."""

import argparse
import datetime
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.asked import at_least_one
from bench.lab import Failed
from bench.load.kinds.http2 import Http2
from bench.load.running import Seen, load
from bench.proxies.caddy import Caddy
from bench.proxies.ground import COLORS, Ground, Proxy
from bench.proxies.haproxy import HandedOver, Mapped
from bench.proxies.nginx import Bare, Reloaded, Spared
from bench.proxies.ours import ByHand, Logged, NoFallback, OnSockets, Teal, Unasked
from bench.requirements import check_requirements
from bench.steady import Steady, steady
from harness import server
from harness.ssh_access import one_login

_PACKAGES = ("nginx", "sudo", "haproxy", "caddy")
_QUIET_S, _AFTER_S = 8.0, 1.0  # seconds before the first switch; seconds on both sides of the end of each switch
_VERSIONS = {"nginx": ("nginx", "-v"), "nginx (recent)": ("/srv/switch/nginx", "-v")}
_VERSIONS |= {"Caddy": ("caddy", "version"), "HAProxy": ("haproxy", "-v")}

Window = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """Times are in milliseconds: of busy requests, in the windows of the switches and before them.

    `failed_http2` counts the failed turns of HTTP/2 clients, `failed_http1` those of all others.
    """

    name: str
    switches: int
    requests: int
    lost: int
    doubled: int
    failed_http1: int
    failed_http2: int
    quiet_p99: float
    p99: float
    worst: float
    command: float  # the median cost of one switch


def others() -> list[Proxy]:
    return [Reloaded(), Spared(), Caddy(), HandedOver(), Mapped()]


def turned(proxies: Sequence[Proxy], ground: Ground, switches: int, per_second: float) -> list[Row]:
    """Runs each way under the load of every kind of client, all the time.

    The ways take turns, and each switches equally often.
    """
    windows: dict[str, list[Window]] = {proxy.name: [] for proxy in proxies}
    with ExitStack() as stack:
        loads = [
            stack.enter_context(load(ground.place(proxy), ground.work / f"out-{proxy.first}", per_second))
            for proxy in proxies
        ]
        quiet = _quiet()
        for number in range(switches):
            for proxy in proxies:
                windows[proxy.name].append(_turn(proxy, ground, COLORS[(number + 1) % 2]))
            _say(f"turned {number + 1} times of {switches}")
        for running in loads:
            running.more()
    return [
        _row(proxy.name, running.seen(proxy.ledgers(ground)), quiet, windows[proxy.name])
        for proxy, running in zip(proxies, loads, strict=True)
    ]


def _quiet() -> Window:
    began = time.monotonic()
    time.sleep(_QUIET_S)
    return began, time.monotonic()


def _turn(proxy: Proxy, ground: Ground, color: str) -> Window:
    """Returns when the switch began and when its command ended. Then pauses until the turn of the next way."""
    began = time.monotonic()
    proxy.switch(ground, color)
    ended = time.monotonic()
    time.sleep(_AFTER_S)
    return began, ended


def _row(name: str, seen: Seen, quiet: Window, windows: Sequence[Window]) -> Row:
    verdict, commands = seen.verdict, sorted(ended - began for began, ended in windows)
    around = [(ended - _AFTER_S, ended + _AFTER_S) for _, ended in windows]  # the same time for each way
    calm, busy = _within(seen, [quiet]), _within(seen, around)
    for line in seen.failures[:3]:
        _say(f"    {line}")
    http2 = seen.failed[Http2.name]
    counts = (len(windows), verdict.requests, verdict.lost, verdict.doubled, seen.failed.total() - http2, http2)
    times = (_p99(calm), _p99(busy), busy[-1] * 1000, commands[len(commands) // 2] * 1000)
    return Row(name, *counts, *times)


def _within(seen: Seen, windows: Sequence[Window]) -> list[float]:
    inside = (took for due, took in zip(seen.due, seen.took, strict=True) if any(a <= due <= b for a, b in windows))
    return sorted(inside)


def _p99(times: Sequence[float]) -> float:
    return times[len(times) * 99 // 100] * 1000


def table(rows: Sequence[Row]) -> str:
    best = rows[-1]
    lines = [
        "| how traffic is turned | switches | requests | lost | doubled | turns that failed, HTTP/1 | HTTP/2 "
        "| p99 before, ms | p99 in the window, ms | to Teal's | worst, ms | to Teal's | command, ms |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        counts = f"{row.switches} | {row.requests:,} | {row.lost:,} | {row.doubled}"
        counts += f" | {row.failed_http1} | {row.failed_http2}"
        late = f"{row.quiet_p99:.1f} | {row.p99:.1f} | {row.p99 / best.p99:.2f}"
        lines.append(
            f"| {row.name} | {counts} | {late} | {row.worst:.0f} | {row.worst / best.worst:.2f} | {row.command:.0f} |"
        )
    return "\n".join(lines)


def steady_table(states: Sequence[Steady]) -> str:
    """The table, with ratios to HAProxy."""
    haproxy = next(state for state in states if state.name == Mapped.name)
    lines = [
        "| nothing is turned | requests a second | to HAProxy's | median, µs | to HAProxy's | p99, µs | to HAProxy's "
        "| µs of processor a request | to HAProxy's |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for state in states:
        pairs = zip(state.figures, haproxy.figures, ("{:,.0f}", "{:,.0f}", "{:,.0f}", "{:.1f}"), strict=True)
        cells = [f"{how.format(value)} | {value / base:.2f}" for value, base, how in pairs]
        lines.append(f"| {state.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ratios(what: str, states: Sequence[Steady], way: type[Teal], other: type[Teal]) -> str:
    """One way to another one, in the same run."""
    named = {state.name: state.figures for state in states}
    figures = ", ".join(f"{a / b:.2f}" for a, b in zip(named[way.name], named[other.name], strict=True))
    return f"{what} (requests a second, median, p99, processor time): {figures}"


def ratio_lines(states: Sequence[Steady]) -> str:
    """What the fallback costs while the live color answers, and what a unix socket saves."""
    fallback = ratios("with the fallback to without it", states, Teal, NoFallback)
    return f"{fallback}\n{ratios('unix sockets to ports', states, OnSockets, Teal)}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _versions(ground: Ground) -> dict[str, str]:
    answers = {name: ground.run(*argv) for name, argv in _VERSIONS.items()}
    return {name: (done.stdout + done.stderr).splitlines()[0] for name, done in answers.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/switch", description=__doc__)
    parser.add_argument("--switches", type=at_least_one, default=20, help="switches of each way")
    parser.add_argument(
        "--per-second",
        type=float,
        default=60,
        help="requests a second to each proxy, of clients that are answered at once",
    )
    parser.add_argument("--rounds", type=at_least_one, default=5, help="rounds of the steady state")
    parser.add_argument("--sockets", action="store_true", help="only Teal on ports and on unix sockets, steady")
    parser.add_argument("--debian", type=int, choices=(12, 13), default=13)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    asked = parser.parse_args()
    check_requirements("ssh", "go", "openssl", boots_server=True)
    with (
        tempfile.TemporaryDirectory(prefix="teal-bench-") as work,
        server(asked.debian, Path(work) / "server", packages=_PACKAGES) as booted,
    ):
        booted.boot_from_copy()
        with one_login(booted) as ssh:
            try:
                _measure(Ground(booted, Path(work), ssh), asked)
            except Failed as error:
                raise SystemExit(str(error)) from None
    return 0


def _steady(proxies: Sequence[Proxy], ground: Ground, rounds: int) -> list[Steady]:
    for proxy in proxies:
        proxy.prepare(ground)
        ground.settled(proxy)
    return steady(proxies, ground, rounds, _say)


def _measure(ground: Ground, asked: argparse.Namespace) -> None:
    ground.prepare()
    if asked.sockets:
        print(ratios("unix sockets to ports", _steady([Teal(), OnSockets()], ground, asked.rounds), OnSockets, Teal))
        return
    peers, by_hand, teal = others(), ByHand(), Teal()
    quiet = [*peers, teal, NoFallback(), OnSockets(), Logged(), Unasked(), Bare()]
    by_hand.prepare(ground)
    ground.settled(by_hand)
    states = _steady(quiet, ground, asked.rounds)
    rows = turned([*peers, by_hand, teal], ground, asked.switches, asked.per_second)
    versions = _versions(ground)
    about = {"at": datetime.date.today().isoformat(), "processors": os.cpu_count(), "versions": versions}
    print(f"{about['at']}, {about['processors']} processors; " + ", ".join(versions.values()))
    print(f"\n{table(rows)}\n\n{steady_table(states)}\n\n{ratio_lines(states)}")
    if asked.json:
        figures = {
            "schema": 1,
            **about,
            "switch": [asdict(row) for row in rows],
            "steady": [asdict(state) for state in states],
        }
        asked.json.write_text(json.dumps(figures, indent=1))
