"""Ask the app itself whether it is well, and name what is wrong as what it is.

An answer counts only when the socket that gave it belongs to the process that was started: 200 from somebody else's
program on the same port is the oldest way to switch to nothing.
"""

import time
from typing import List, Set, Tuple

from teal_host.ground import sockets
from teal_host.ground.errors import Unhealthy
from teal_host.ground.http_probe import NoAnswer, ProbeRequest, ProbeResponse, http_get, json_differs
from teal_host.state.app import App, Running
from teal_host.state.seams import ProcessState
from teal_host.steps.candidate import HERE, Candidate
from teal_host.wire.values import dataclass

_FIRST_BETWEEN_S, _BETWEEN_S = 0.005, 0.1  # between attempts: soon at first and whenever it turned, then less often
_LONGER = 1.3  # each time
_ANSWER_WITHIN_S = 5.0
_FAIR_S = 1.0  # also for the last attempt before the deadline, so that what is told is what was found
_LOG_LINES = 15
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - looked for, not listened on


@dataclass(frozen=True)
class ProbeResult:
    """What one look found. `hopeless`: waiting longer cannot help."""

    well: bool
    says: str
    hopeless: bool = False
    answer: str = ""


def wait_until_healthy(app: App, candidate: Candidate, step: Running) -> None:
    """Ask until it answered well so often in a row. Raises Unhealthy: at once when hopeless, else at the deadline."""
    health = candidate.spec.health
    deadline = time.monotonic() + health.deadline_s
    seen: List[ProbeResult] = []
    while not _enough(seen, health.successes):
        left = deadline - time.monotonic()
        if left <= 0 or (seen and seen[-1].hopeless):
            raise unhealthy(app, candidate, seen, f"after {health.deadline_s:g} s")
        seen.append(probe_candidate(app, candidate, max(_FAIR_S, min(left, _ANSWER_WITHIN_S))))
        step.say(_progress(seen, health.successes))
        if not seen[-1].hopeless and not _enough(seen, health.successes):
            time.sleep(min(_pause_s(seen), max(0.0, left)))
    _warn_if_open_to_all(app, candidate)


def wait_until_listening(app: App, candidate: Candidate) -> None:
    """It may just be starting, after a boot or a crash: it has as long as it had when it was deployed."""
    deadline = time.monotonic() + candidate.spec.health.deadline_s
    while time.monotonic() < deadline and not sockets.listeners(candidate.port):
        if app.host.supervisor.state(candidate.slot_paths).state != "running":
            return
        time.sleep(_BETWEEN_S)


def probe_candidate(app: App, candidate: Candidate, timeout_s: float) -> ProbeResult:
    """One look at what was just started. When it had to be started again since, no later answer makes it well."""
    state = app.host.supervisor.state(candidate.slot_paths)
    if not state.restarts:
        return _found(app, candidate, state, timeout_s)
    often = "once" if state.restarts == 1 else f"{state.restarts} times"
    return ProbeResult(False, f"the program ended by itself and was started again ({often})", hopeless=True)


def probe(app: App, candidate: Candidate, timeout_s: float) -> ProbeResult:
    """One look: the process, its socket, its answer."""
    return _found(app, candidate, app.host.supervisor.state(candidate.slot_paths), timeout_s)


def _found(app: App, candidate: Candidate, state: ProcessState, timeout_s: float) -> ProbeResult:
    if state.state != "running":
        why = "this machine goes down" if app.host.supervisor.is_ending() else state.end or "it was stopped"
        return ProbeResult(False, f"the program is not running: {why}", hopeless=True)
    ours = sockets.sockets_of(app.host.supervisor.pids(candidate.slot_paths))
    listening = [
        socket
        for socket in sockets.listeners(candidate.port)
        if socket.inode in ours or socket.is_reached_at(HERE)  # a stranger on another address takes no request
    ]
    if not listening:
        return ProbeResult(False, f"nothing listens on port {candidate.port}{_elsewhere(candidate, ours)}")
    foreign = [socket for socket in listening if socket.inode not in ours]
    if foreign and _still_there(foreign[0]):
        return _foreign(candidate, foreign[0], state)
    return _asked(candidate, timeout_s)


def check_port_is_free(candidate: Candidate) -> None:
    """Before the start: somebody else on the port would answer in the program's place. Raises Unhealthy."""
    for socket in sockets.listeners_at(HERE, candidate.port):
        holder = sockets.describe_holder(socket.inode)
        raise Unhealthy(
            f"port {candidate.port} of {candidate.color} is taken by {holder}",
            hint="end that process, or choose other [run] ports",
        ).about(candidate.release, candidate.color, None)


def unhealthy(app: App, candidate: Candidate, seen: List[ProbeResult], when: str) -> Unhealthy:
    """The last finding, with the attempts, the answer's beginning and the program's last lines."""
    last = seen[-1] if seen else ProbeResult(False, "it was not asked even once")
    good = sum(finding.well for finding in seen)
    says = last.says
    if good:
        says = f"it flaps: well in {good} of {len(seen)} attempts, never {candidate.spec.health.successes} in a row"
        says += "" if last.well else f"; last: {last.says}"
    head = f"{candidate.release} on {candidate.color} is not healthy{'' if last.hopeless else ' ' + when}: {says}"
    hint = f"see: teal logs --color {candidate.color}"
    if last.says.startswith(f"{candidate.filled(candidate.spec.health.path)} answers 404"):
        hint = "is [health] path the right one in teal.toml?"
    return Unhealthy(head, _evidence(app, candidate, seen), hint)


def recent_output(app: App, candidate: Candidate, lines: int = _LOG_LINES) -> List[str]:
    """The program's last lines."""
    written = app.host.supervisor.tail(candidate.slot_paths).last(lines)
    return [line.text for line in written if line.release == candidate.release]


def _asked(candidate: Candidate, timeout_s: float) -> ProbeResult:
    health = candidate.spec.health
    question = ProbeRequest(
        (HERE, candidate.port), candidate.filled(health.path), candidate.spec.site.host, (), timeout_s
    )
    try:
        answer = http_get(question)
    except NoAnswer as none:
        return ProbeResult(False, f"{question.path}: {none}{_not_here(candidate) if none.refused else ''}")
    wrong = _wrong(answer, health.status, candidate, question.path)
    return ProbeResult(not wrong, wrong or f"{question.path} answers {answer.status}", answer=answer.beginning)


def _wrong(answer: ProbeResponse, status: int, candidate: Candidate, path: str) -> str:
    if answer.status != status and 300 <= answer.status < 400:
        where = answer.headers.get("location", "?")[:100]
        return f"{path} redirects to {where} ({answer.status}); Teal follows no redirect"
    if answer.status != status:
        return f"{path} answers {answer.status}, expected {status}"
    differs = json_differs(answer.body, candidate.filled(candidate.spec.health.json))
    return f"{path} answers {status}, but {differs}" if differs else ""


def _foreign(candidate: Candidate, socket: sockets.Socket, state: ProcessState) -> ProbeResult:
    holder = sockets.describe_holder(socket.inode)
    text = f"port {candidate.port} is held by {holder}, not by the program that was started (process {state.pid})"
    return ProbeResult(False, text, hopeless=True)


def _still_there(socket: sockets.Socket) -> bool:
    """A socket that was just closed or handed over is nobody's; look twice before accusing."""
    return any(again.inode == socket.inode for again in sockets.listeners(socket.port))


def _elsewhere(candidate: Candidate, ours: Set[int]) -> str:
    ports = sorted({socket.port for socket in sockets.listeners() if socket.inode in ours} - {candidate.port})
    return f"; the program listens on {', '.join(map(str, ports))} instead" if ports else ""


def _not_here(candidate: Candidate) -> str:
    addresses = sorted({socket.address for socket in sockets.listeners(candidate.port)} - {HERE})
    return f"; the program listens on {', '.join(addresses)} instead of {HERE} (HOST)" if addresses else ""


def _enough(seen: List[ProbeResult], successes: int) -> bool:
    return len(seen) >= successes and all(finding.well for finding in seen[-successes:])


def _pause_s(seen: List[ProbeResult]) -> float:
    """A third longer with each finding that says the same: 5 ms, 6.5, 8.5 and so on, and after half a second 100 ms."""
    return min(_BETWEEN_S, _FIRST_BETWEEN_S * _LONGER ** min(_row(seen) - 1, 20))


def _row(seen: List[ProbeResult]) -> int:
    """How many findings at the end say the same."""
    count = 0
    for finding in reversed(seen):
        if finding.well != seen[-1].well:
            break
        count += 1
    return count


def _progress(seen: List[ProbeResult], successes: int) -> str:
    return f"{_row(seen)} of {successes} well" if seen[-1].well else seen[-1].says


def _evidence(app: App, candidate: Candidate, seen: List[ProbeResult]) -> Tuple[str, ...]:
    in_vain = len(seen) > 1 and not any(finding.well or finding.hopeless for finding in seen)  # else the head says all
    attempts = [f"it was asked {len(seen)} times and was never well"] if in_vain else []
    answers = [f"answer begins: {finding.answer}" for finding in seen[-1:] if finding.answer]
    output = [f"│ {line}" for line in recent_output(app, candidate)]
    said = (
        ["the program's last lines:", *output]
        if output
        else ["the program has written nothing yet (it may hold its output back in a buffer)"]
    )
    return (*attempts, *answers, *said)


def _warn_if_open_to_all(app: App, candidate: Candidate) -> None:
    if any(socket.address in _EVERYWHERE for socket in sockets.listeners(candidate.port)):
        app.warn(
            f"{candidate.color} listens on all addresses of this machine, so port {candidate.port} may be reached "
            "without nginx; listen on HOST (127.0.0.1)"
        )
