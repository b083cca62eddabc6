"""A setup that moves the port of the standby: when it waits for the standby's work, and for how long."""

import contextlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from host.pipe import spec
from teal_host.ground.paths import HostPaths
from teal_host.proxies import upstream
from teal_host.state import agreement
from teal_host.state.app import App
from teal_host.state.seams import ProcessState
from teal_host.steps import drain, switch
from teal_host.stories import setup
from teal_host.wire import typed
from teal_host.wire.app import AppSpec
from teal_host.wire.manifest import Origin
from teal_host.wire.requests import Setup

DRAIN_S = 600.0
BLUE = HostPaths(Path("/")).app("shop").color("blue")


class Clock:
    """Time passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    thread_time = monotonic

    def sleep(self, seconds: float) -> None:
        self.now += seconds + 0.001


class Machine:
    """Blue runs as the standby and has an open connection; green is live, and down. `is_quiet`: nginx has no client."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, switched_s: float, is_quiet: bool) -> None:
        self.clock, self.warnings, self.stopped = Clock(), list[str](), list[object]()
        supervisor = SimpleNamespace(
            state=lambda slot: ProcessState("running" if slot == BLUE else "failed", end=""),
            stop=lambda slot, grace_s: self.stopped.append(slot),
        )
        app = SimpleNamespace(
            paths=HostPaths(Path("/")).app("shop"),
            host=SimpleNamespace(supervisor=supervisor, proxy=SimpleNamespace(quiet=lambda site: is_quiet)),
            journal=SimpleNamespace(since_switch=lambda: switched_s),
            warn=self.warnings.append,
        )
        app.step = lambda name: contextlib.nullcontext(SimpleNamespace(app=app, say=lambda text: None))
        self.app = cast(App, app)
        self.agreed = cast(Any, SimpleNamespace(site=None, ports=None))
        monkeypatch.setattr(drain, "time", self.clock)
        monkeypatch.setattr(drain, "read_slots", lambda paths: SimpleNamespace(live="green"))
        monkeypatch.setattr(upstream, "now", lambda *ignored: SimpleNamespace(connections=lambda: 1))
        monkeypatch.setattr(switch, "withdraw_fallback", lambda app: None)
        monkeypatch.setattr(setup, "_moving", lambda *ignored: [BLUE])
        monkeypatch.setattr(setup, "_agreed", lambda *ignored: None)
        monkeypatch.setattr(agreement, "load", lambda paths: self.agreed)


def test_setup_drains_no_second_time_under_the_lock_that_apps_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """At b8b1865 it waited there for keep.drain_s once more, and each deploy of another app ended with exit 8."""
    machine = Machine(monkeypatch, switched_s=60, is_quiet=False)
    setup._stop_standby(machine.app, BLUE, machine.agreed, DRAIN_S)
    assert 5 < machine.clock.now < 15, "longer than nginx keeps an unused connection, and no drain"
    assert machine.warnings == ["1 connection(s) to blue were still open after 10 s and are cut"]
    assert machine.stopped == [BLUE]


def test_drain_of_setup_waits_for_no_answer_of_a_standby_that_goes_on_standing_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At b8b1865 it waited for keep.drain_s, and warned of a cut that did not come."""
    machine = Machine(monkeypatch, switched_s=2 * DRAIN_S, is_quiet=True)
    decoded = typed.decode(AppSpec, cast(Any, spec(8080)))
    setup._drain(machine.app, Setup(decoded, Origin("anna", "laptop")))
    assert machine.clock.now == 0
    assert machine.warnings == []
