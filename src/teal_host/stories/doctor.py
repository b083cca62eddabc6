"""The story of the doctor: all checks run side by side, bounded in time. It changes nothing and takes no lock."""

import threading
import time
from dataclasses import replace
from typing import List, Optional, Sequence, Tuple

from teal_host.checks import machine
from teal_host.checks.base import Visit, fault, from_error
from teal_host.ground import run, sockets
from teal_host.ground.errors import HostError, as_host_error
from teal_host.state import agreement, footprint, releases
from teal_host.state.app import App
from teal_host.state.seams import Check
from teal_host.state.slots import read_slots
from teal_host.steps import switch
from teal_host.wire.reports import DoctorReport, Finding
from teal_host.wire.requests import Doctor

_ALL_WITHIN_S = 10.0


def doctor(app: App, request: Doctor) -> DoctorReport:
    """What is wrong, and what to type."""
    ahead_s = request.now - time.time()
    try:
        agreed_on = agreement.load(app.paths)
        if agreed_on is None:
            return _report(app, [app.host.provisioning.without_agreement(app.name), *machine.on_any(ahead_s)])
        slots, records, put = read_slots(app.paths), releases.load(app.paths), footprint.load(app.paths)
        visit = Visit(app, request.spec, ahead_s, agreed_on, slots, records, put)
    except HostError as error:
        return _report(app, [from_error("state", error), *machine.on_any(ahead_s)])
    report = _report(app, side_by_side(visit, app.host.provisioning.checks(), _ALL_WITHIN_S))
    return replace(report, entrance=switch.entrance(app, agreed_on)) if slots.live else report


def side_by_side(visit: Visit, checks: Sequence[Check], within_s: float) -> List[Finding]:
    """The findings of all, in the order of the checks. One that hangs is a finding itself."""
    running = [(check, _start(check, visit)) for check in checks]
    deadline = time.monotonic() + within_s
    findings: List[Finding] = []
    for check, (thread, result) in running:
        if thread:
            thread.join(max(0.0, deadline - time.monotonic()))
        late = fault(check.what, f"it could not be looked at within {within_s:g} s", "teal doctor again")
        findings += [late] if thread and thread.is_alive() else result
    return findings


def _start(check: Check, visit: Visit) -> Tuple[Optional[threading.Thread], List[Finding]]:
    """In a daemon thread: what a check asks may hang, such as a name server or a disk. None: no thread could start."""
    result: List[Finding] = []
    thread = threading.Thread(target=lambda: result.extend(_run(check, visit)), daemon=True)
    try:
        run.start_thread(thread)
    except HostError as error:
        return None, [from_error(check.what, error)]
    return thread, result


def _run(check: Check, visit: Visit) -> List[Finding]:
    findings: List[Finding] = []
    try:
        for finding in check.look(visit):
            findings.append(finding)
    except Exception as error:  # noqa: BLE001 - one check that fails takes no other with it
        findings.append(from_error(check.what, as_host_error(error)))
    return findings


def _report(app: App, findings: List[Finding]) -> DoctorReport:
    return DoctorReport(app.name, tuple(findings), (*sockets.addresses(), *sockets.addresses_v6()))
