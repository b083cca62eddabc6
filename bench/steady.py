"""Measures each proxy while nothing switches: requests a second, latency, and processor time for each request."""

import os
import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load import backend
from bench.proxies.ground import Ground, Proxy

_CONNECTIONS, _SECONDS = 50, 2.0


@dataclass(frozen=True)
class Steady:
    """Medians over the rounds; times in microseconds."""

    name: str
    per_second: float
    median: float
    p99: float
    processor: float

    @property
    def figures(self) -> tuple[float, ...]:
        return self.per_second, self.median, self.p99, self.processor


def steady(proxies: Sequence[Proxy], ground: Ground, rounds: int, say: Callable[[str], None]) -> list[Steady]:
    """The proxies take turns, so that other load of the machine affects all of them alike."""
    driver = backend.build(Path(__file__).parent / "load/drive", ground.work / "drive")
    measured: dict[str, list[Steady]] = {proxy.name: [] for proxy in proxies}
    for number in range(rounds):
        for proxy in proxies if number % 2 else reversed(proxies):
            measured[proxy.name].append(_drive(driver, proxy, ground))
        say(f"steady round {number + 1} of {rounds}")
    return [_medians(name, runs) for name, runs in measured.items()]


def _drive(driver: Path, proxy: Proxy, ground: Ground) -> Steady:
    before = ground.cpu_s(proxy.unit)
    argv = [str(driver), f"{ground.server.address}:{proxy.first}", str(_CONNECTIONS), str(_SECONDS)]
    done = subprocess.run(argv, env={**os.environ, "GOMAXPROCS": "1"}, capture_output=True, text=True, check=True)
    count, per_second, median, p99 = map(float, done.stdout.split())
    used = ground.cpu_s(proxy.unit) - before
    return Steady(proxy.name, per_second, median, p99, used / count * 1e6)


def _medians(name: str, rounds: Sequence[Steady]) -> Steady:
    return Steady(
        name, *(statistics.median(column) for column in zip(*(measured.figures for measured in rounds), strict=True))
    )
