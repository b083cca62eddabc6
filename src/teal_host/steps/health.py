"""Probe a release directly, and name what is wrong as what it is.

An answer counts only when the socket that gave it belongs to the process that was started: 200 from somebody else's
program on the same port is the oldest way to switch to nothing.
"""

from dataclasses import replace
from pathlib import Path
from typing import List, Optional, Sequence, Set, Tuple

from teal_host.ground import sockets
from teal_host.ground.errors import Cancelled, HostError, Unhealthy
from teal_host.ground.http_probe import NoAnswer, ProbeRequest, ProbeResponse, http_get, json_differs
from teal_host.ground.paths import ColorPaths
from teal_host.ground.processes import name_of
from teal_host.proxies.upstream import HERE, Upstream
from teal_host.state.app import App, Running
from teal_host.state.seams import ProcessState
from teal_host.steps.candidate import Candidate
from teal_host.steps.judgement import Judgement, Patience, ProbeResult, Watcher, judge
from teal_host.supervisors import port_limits
from teal_host.supervisors.children import listening
from teal_host.wire.app import Health

_LOG_LINES = 15
_ON_SOCKET = "let the program listen on the unix socket {socket} of [run] command, or use {port} there"
_REFUSED = ("operation not permitted", "eperm", "address already in use", "eaddrinuse")
_MAY_BE_A_FILE = ("permission denied", "eacces")
_OF_A_PORT = ("bind", "listen")
_LOOKED_AT = 500  # characters of a line
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - looked for, not listened on


def patience_of(health: Health) -> Patience:
    """What teal.toml gives a release to become healthy."""
    return Patience(health.deadline_s, health.successes)


def wait_until_healthy(app: App, candidate: Candidate, step: Running) -> None:
    """Probe until it answered well so often in a row. Raises Unhealthy: at once when hopeless, else at the deadline."""
    health = candidate.spec.health
    judgement = judge(
        lambda answer_s: probe_candidate(app, candidate, answer_s),
        patience_of(health),
        lambda probes, passed_s: step.say(_progress(probes, health.successes)),
    )
    if not judgement.well:
        reason = _flapping(judgement.probes, health.successes) or judgement.reason
        raise unhealthy(app, candidate, replace(judgement, reason=reason), f"after {health.deadline_s:g} s")
    _warn_if_open_to_all(app, candidate)
    _warn_if_a_child_listens(app, candidate)


def judge_release(app: App, candidate: Candidate, patience: Patience, watcher: Optional[Watcher] = None) -> Judgement:
    """A release that may have run for long, so that restarts say nothing against it."""
    return judge(lambda answer_s: probe(app, candidate, answer_s), patience, watcher)


def probe_candidate(app: App, candidate: Candidate, timeout_s: float) -> ProbeResult:
    """What was just started. When the supervisor had to start it again since, no later answer makes it well."""
    state = replace(app.host.supervisor.state(candidate.slot_paths), restarts_soon=False)
    if not state.restarts:
        return _probe(app, candidate, state, timeout_s)
    often = "once" if state.restarts == 1 else f"{state.restarts} times"
    return ProbeResult("sick", f"the program ended by itself and was started again ({often})", hopeless=True)


def probe(app: App, candidate: Candidate, timeout_s: float) -> ProbeResult:
    """The process, its socket, its answer."""
    return _probe(app, candidate, app.host.supervisor.state(candidate.slot_paths), timeout_s)


def _probe(app: App, candidate: Candidate, state: ProcessState, timeout_s: float) -> ProbeResult:
    if state.state != "running":
        return _not_running(app, state)
    listeners = candidate.upstream.listeners()  # first: a program that begins to listen meanwhile is no stranger
    inodes = _held(app, candidate, state, {socket.inode for socket in listeners})
    listening = [
        socket
        for socket in listeners
        if socket.inode in inodes or candidate.upstream.is_met_at(socket)  # else a stranger takes no request
    ]
    if not listening:
        return _nothing_listens(app, candidate)
    foreign = [socket for socket in listening if socket.inode not in inodes]
    if foreign and _still_there(candidate, foreign[0]):
        return _foreign(candidate, foreign[0], state)
    answer = _answer(candidate, timeout_s)
    closed = app.host.proxy.closed(candidate.upstream.address) if answer.well else None
    return ProbeResult("sick", closed.why, hint=closed.hint) if closed else answer


def _nothing_listens(app: App, candidate: Candidate) -> ProbeResult:
    reason = f"nothing listens on {candidate.upstream.listens_on}{_elsewhere(app, candidate)}"
    return ProbeResult("sick", reason, hint=_ON_SOCKET if candidate.spec.run.on_socket else "")


def _held(app: App, candidate: Candidate, state: ProcessState, inodes: Set[int]) -> Set[int]:
    """Which of these sockets are the program's. Mostly the main process holds them, and no other one is looked at."""
    by_main = sockets.held(inodes, [state.pid] if state.pid else [])
    if by_main == inodes:
        return by_main
    return by_main | sockets.held(inodes - by_main, app.host.supervisor.pids(candidate.slot_paths))


def _not_running(app: App, state: ProcessState) -> ProbeResult:
    """A machine that goes down ends every program, which says nothing about this one."""
    if app.host.supervisor.is_ending():
        return ProbeResult("unknown", "the program is not running: this machine goes down", hopeless=True)
    reason = f"the program is not running: {state.end or 'it was stopped'}"
    return ProbeResult("sick", reason, hopeless=not state.restarts_soon)


def stranger_on(app: App, slot: ColorPaths, asked: Upstream) -> Optional[str]:
    """Who else takes the requests that nginx sends to this color, if somebody does."""
    stranger = sockets.stranger_among(
        lambda: filter(asked.is_met_at, asked.listeners()), lambda: app.host.supervisor.pids(slot)
    )
    return sockets.describe_holder(stranger.inode) if stranger else None


def check_ports_are_free(candidate: Candidate) -> None:
    """Before the start: somebody else on the port would answer in the program's place. Nobody else can be on a socket,
    whose directory is made anew. Raises Unhealthy.
    """
    for port in candidate.tcp_ports:
        for socket in filter(port.is_met_at, port.listeners()):
            holder = sockets.describe_holder(socket.inode)
            raise Unhealthy(
                f"{port.listens_on} of {candidate.color} is taken by {holder}",
                hint="end that process, or choose other [run] ports",
            ).about(candidate.release, candidate.color, None)


def unhealthy(app: App, candidate: Candidate, judgement: Judgement, when: str) -> Unhealthy:
    """The judgement, with the probes, the answer's beginning and the program's last lines."""
    is_not = "is not healthy" if judgement.verdict == "sick" else "is not known to be healthy"
    when = "" if judgement.hopeless else f" {when}"
    head = f"{candidate.release} on {candidate.color} {is_not}{when}: {judgement.reason}"
    output = recent_output(app, candidate)
    hint = judgement.hint or _about_ports(candidate, output) or f"teal logs --color {candidate.color}"
    return Unhealthy(head, _evidence(judgement.probes, output), hint)


def _about_ports(candidate: Candidate, output: Sequence[str]) -> str:
    """The words are the program's own, so this is no more than a guess."""
    if not any(map(_may_refuse_a_port, output)):
        return ""
    only = " and ".join(sorted({candidate.upstream.listens_on, *(port.listens_on for port in candidate.tcp_ports)}))
    return f"if a port was refused: {candidate.color} has {only} alone; [run] ports2 gives each color one more (PORT2)"


def _may_refuse_a_port(line: str) -> bool:
    line = line[:_LOOKED_AT].lower()
    is_of_port = any(word in line for word in _OF_A_PORT)
    return any(word in line for word in (*_REFUSED, *(_MAY_BE_A_FILE if is_of_port else ())))


def recent_output(app: App, candidate: Candidate, lines: int = _LOG_LINES) -> List[str]:
    """The program's last lines. None where they cannot be read: they only explain what is known anyway."""
    try:
        written = app.host.supervisor.tail([candidate.slot_paths]).last(lines)
        return [line.text for line in written if line.release == candidate.release]
    except Cancelled:
        raise
    except (HostError, OSError):
        return []


def _answer(candidate: Candidate, timeout_s: float) -> ProbeResult:
    health = candidate.spec.health
    path, host, on_socket = candidate.filled(health.path), candidate.spec.site.host, candidate.spec.run.on_socket
    try:
        answer = http_get(ProbeRequest(candidate.upstream.address, path, host, candidate.headers, timeout_s))
    except NoAnswer as none:
        return ProbeResult("sick", f"{path}: {none}{_not_here(candidate) if none.refused and not on_socket else ''}")
    wrong = _wrong(answer, health.status, candidate, path)
    if wrong:
        hint = "is [health] path the right one in teal.toml?" if answer.status == 404 else ""
        return ProbeResult("sick", wrong, answer=answer.beginning, hint=hint)
    return ProbeResult("well", f"{path} answers {answer.status}", answer=answer.beginning)


def _wrong(answer: ProbeResponse, status: int, candidate: Candidate, path: str) -> str:
    if answer.status != status and 300 <= answer.status < 400:
        where = answer.headers.get("location", "?")[:100]
        return f"{path} redirects to {where} ({answer.status}); Teal follows no redirect"
    if answer.status != status:
        return f"{path} answers {answer.status}, expected {status}"
    differs = json_differs(answer, candidate.filled(candidate.spec.health.json))
    return f"{path} answers {status}, but {differs}" if differs else ""


def _foreign(candidate: Candidate, socket: sockets.Socket, state: ProcessState) -> ProbeResult:
    holder = sockets.describe_holder(socket.inode)
    where = candidate.upstream.listens_on
    text = f"{where} is held by {holder}, not by the program that was started (process {state.pid})"
    return ProbeResult("sick", text, hopeless=True)


def _still_there(candidate: Candidate, socket: sockets.Socket) -> bool:
    """A socket that was just closed or handed over is nobody's; look twice before accusing."""
    return any(again.inode == socket.inode for again in candidate.upstream.listeners())


def _elsewhere(app: App, candidate: Candidate) -> str:
    listening = {socket.inode: socket.port for socket in sockets.listeners()}
    pids = app.host.supervisor.pids(candidate.slot_paths)
    own = sockets.held(set(listening), pids)
    ports = [str(port) for port in sorted({listening[inode] for inode in own})]
    elsewhere = ports or sorted(sockets.unix_paths(sockets.sockets_of(pids)))
    return f"; the program listens on {', '.join(elsewhere)} instead" if elsewhere else ""


def _not_here(candidate: Candidate) -> str:
    addresses = sorted({listener.address for listener in candidate.upstream.listeners()} - {HERE})
    return f"; the program listens on {', '.join(addresses)} instead of {HERE} (HOST)" if addresses else ""


def _progress(probes: Sequence[ProbeResult], successes: int) -> str:
    if not probes[-1].well:
        return probes[-1].reason
    sick = next((number for number, probe in enumerate(reversed(probes)) if not probe.well), len(probes))
    return f"{sick} of {successes} well"


def _flapping(probes: Sequence[ProbeResult], successes: int) -> str:
    """What to say of a release that was well in between; else nothing."""
    good = sum(probe.well for probe in probes)
    if not good:
        return ""
    text = f"it flaps: well in {good} of {len(probes)} attempts, never {successes} in a row"
    return text if probes[-1].well else f"{text}; last: {probes[-1].reason}"


def _evidence(probes: Sequence[ProbeResult], written: Sequence[str]) -> Tuple[str, ...]:
    in_vain = len(probes) > 1 and not any(probe.well or probe.hopeless for probe in probes)  # else the head says all
    attempts = [f"it was asked {len(probes)} times and was never well"] if in_vain else []
    answers = [f"answer begins: {probe.answer}" for probe in probes[-1:] if probe.answer]
    output = [f"│ {line}" for line in written]
    if not output:
        return (*attempts, *answers, "the program has written nothing yet (it may hold its output back in a buffer)")
    return (*attempts, *answers, "the program's last lines:", *output)


def _warn_if_open_to_all(app: App, candidate: Candidate) -> None:
    is_open = any(listener.address in _EVERYWHERE for listener in candidate.upstream.listeners())
    if is_open and not port_limits.are_in_effect(candidate.paths):
        app.warn(
            f"{candidate.color} listens on all addresses of this machine, so {candidate.upstream.listens_on} may be "
            "reached without nginx; listen on HOST (127.0.0.1)"
        )


def _warn_if_a_child_listens(app: App, candidate: Candidate) -> None:
    slot, first = candidate.slot_paths, Path(candidate.spec.run.command[0]).name
    child = next(iter(listening(app.host.supervisor.state(slot).pid, app.host.supervisor.pids(slot))), None)
    if child:
        name = name_of(child)
        app.warn(
            f"{first} starts {name} as a child, which is not told when this machine goes down or the program is "
            f"restarted by hand: write exec before it in {first}, or start {name} itself (Teal's own stops do tell it)"
        )
