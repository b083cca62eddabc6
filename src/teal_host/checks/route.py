"""From nginx to the live color: its file as setup wrote it, a marker that it can reach, and the color that answers."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import FrozenSet, Iterator, Optional, Sequence

from teal_host.checks.base import Visit, drift, fault, ok, there
from teal_host.ground import processes
from teal_host.ground.http_probe import NoAnswer, ProbeRequest, http_get
from teal_host.ground.paths import AppPaths
from teal_host.preparations import route
from teal_host.proxies.nginx import program as nginx_program
from teal_host.state.route import ANSWERED_HEADER, PROBE_HEADER
from teal_host.state.slots import all_colors
from teal_host.wire.grammar import COLORS
from teal_host.wire.reports import Color, Finding

_ANSWER_WITHIN_S = 4.0
_WORKER = "nginx: worker process"


@dataclass(frozen=True)
class Worker:
    """Who nginx's workers are, by number."""

    user: int
    groups: FrozenSet[int]


@dataclass(frozen=True)
class Folder:
    path: Path
    mode: int
    user: int
    group: int


def check_file(visit: Visit) -> Iterator[Finding]:
    """Where nginx does not run, or refuses what is there, that is another check's to say."""
    program = nginx_program.find()
    if program and program.master and program.refuses() is None:
        where = visit.footprint.nginx or "its file"
        yield from drift("nginx file", route.acts(visit.intent), f"{where}, as setup wrote it, in effect")


def check_way(visit: Visit) -> Iterator[Finding]:
    """Of a server's nginx, whose workers must reach the markers. That nginx does not run is another check's to say."""
    worker = _worker()
    closed = blocked(worker, list(_way(visit.app.paths))) if worker else None
    if closed:
        says = f"nginx's workers cannot look into {closed}, so every request gets {COLORS[0]}, whichever color is live"
        yield fault("route", says, there(f"chmod o+x {closed}"))
    elif _nginx_runs():
        yield from _answer(visit)


def check_answer(visit: Visit) -> Iterator[Finding]:
    """Of one's own nginx."""
    if visit.app.host.proxy.serves(visit.agreed.route(visit.app.paths)):
        yield from _answer(visit)


def _nginx_runs() -> bool:
    program = nginx_program.find()
    return program is not None and program.master is not None


def _answer(visit: Visit) -> Iterator[Finding]:
    if visit.slots.live:
        yield answered(visit.slots.live, visit.agreed.ports.of(visit.slots.live), _asked(visit))


def answered(live: Color, port: int, by: str) -> Finding:
    """`by`: the address that nginx says it asked, or why there was none."""
    if by.endswith(f":{port}"):
        return ok("route", f"nginx asks {live}, which is live")
    says = f"nginx asked {by or 'some other site'}, not {live} on port {port}, which is live"
    return fault("route", says, "teal setup")


def blocked(worker: Worker, way: Sequence[Folder]) -> Optional[Path]:
    """The first directory on the way through which the worker cannot go."""
    return next((folder.path for folder in way if not _lets_through(folder, worker)), None)


def _lets_through(folder: Folder, worker: Worker) -> bool:
    if worker.user == 0:
        return True
    if folder.user == worker.user:
        return bool(folder.mode & stat.S_IXUSR)
    bit = stat.S_IXGRP if folder.group in worker.groups else stat.S_IXOTH
    return bool(folder.mode & bit)


def _way(paths: AppPaths) -> Iterator[Folder]:
    """Every directory to the markers. One with an access list of its own is left to the probe."""
    homes = [paths.color(color).home for color in all_colors()]
    for path in [*reversed(paths.home.parents), paths.home, *(home for home in homes if home.is_dir())]:
        if "system.posix_acl_access" not in os.listxattr(path):
            found = path.stat()
            yield Folder(path, found.st_mode, found.st_uid, found.st_gid)


def _worker() -> Optional[Worker]:
    """One of the running master's; all are alike. The title tells it apart from the master's other children alone."""
    program = nginx_program.find()
    for pid in processes.children(program.master.pid) if program and program.master else ():
        properties = processes.status(pid)
        if processes.command_line(pid).startswith(_WORKER) and "Gid" in properties:
            numbers = [properties["Gid"].split()[1], *properties.get("Groups", "").split()]
            return Worker(int(properties["Uid"].split()[1]), frozenset(map(int, numbers)))
    return None


def _asked(visit: Visit) -> str:
    entry = visit.record(visit.slots.live)
    site, proxy = visit.agreed.site, visit.app.host.proxy
    path = (entry.spec if entry else visit.spec).health.path.split("{")[0]
    probe = ((PROBE_HEADER, visit.agreed.token),)
    try:
        answer = http_get(ProbeRequest(proxy.address(site), path, site.host, probe, _ANSWER_WITHIN_S))
    except NoAnswer as none:
        return f"nobody ({none})"
    return answer.headers.get(ANSWERED_HEADER.lower(), "")
