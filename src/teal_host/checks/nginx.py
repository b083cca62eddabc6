"""The machine's nginx: is it installed, running, started at boot, and is its configuration valid?

Every Debian and Ubuntu whose Python is new enough for Teal has an nginx that is. An admin may have put an
older one there.
"""

import re
from dataclasses import dataclass
from typing import Collection, Iterator, Optional

from teal_host.checks.base import PROGRAM_S, Visit, fault, ok, warning
from teal_host.ground.remedies import MEND, on_server
from teal_host.ground.run import run
from teal_host.ground.systemctl import properties
from teal_host.proxies.nginx import program as nginx_program
from teal_host.state import footprint
from teal_host.wire.reports import Finding

_OLDEST = ".".join(map(str, nginx_program.OLDEST))


@dataclass(frozen=True)
class NginxState:
    """`version` is what `nginx -v` printed, `refusal` nginx's complaint about its files, `at_boot` systemd's word."""

    version: str
    runs: bool
    refusal: Optional[str]
    at_boot: str


def check(visit: Visit) -> Iterator[Finding]:
    program = nginx_program.find()
    if program is None:
        yield fault("nginx", "this server no longer has nginx", "teal setup")
        return
    version = run([program.argv[0], "-v"], PROGRAM_S).output
    at_boot = properties("nginx.service", ["UnitFileState"]).get("UnitFileState", "")
    state = NginxState(version, program.master is not None, program.refusal(), at_boot)
    yield from nginx(state, footprint.nginx_files(visit.app.host.paths, visit.app.name, visit.footprint))


def nginx(state: NginxState, teal_files: Collection[str]) -> Iterator[Finding]:
    """`teal_files`: what setup wrote for nginx, of all apps."""
    version = re.search(r"nginx/(\d+\.\d+)[\d.]*", state.version)
    name = version.group() if version else "nginx"
    if version and tuple(map(int, version[1].split(".")[:2])) < nginx_program.OLDEST:
        yield fault("nginx", f"{name} is too old: the site of an app needs {_OLDEST}", "a newer Debian or Ubuntu")
    if not state.runs:
        first = "mend its configuration (below), then " if state.refusal else ""
        message = "nginx does not run, so none of this server's sites is served"
        yield fault("nginx", message, f"{first}{on_server('systemctl start nginx')}")
    elif state.at_boot == "disabled":
        message = f"{name} runs, but does not start at boot"
        yield warning("nginx", message, on_server("systemctl enable nginx"))
    else:
        yield ok("nginx", f"{name} runs")
    yield _configuration(state, teal_files)


def _configuration(state: NginxState, teal_files: Collection[str]) -> Finding:
    if state.refusal is None:
        return ok("nginx -t", "nginx accepts its configuration")
    is_teals = any(state.refusal.startswith(f"{path}:") for path in teal_files)
    running = "it runs on with the old one, until a reload or a reboot"
    where = "" if is_teals else " in a file that is not Teal's"
    message = f"nginx refuses its configuration{where}; {running if state.runs else 'it cannot start'}"
    return fault("nginx -t", message, "teal setup" if is_teals else MEND, [state.refusal])
