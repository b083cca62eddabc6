"""systemd itself, and what else than the unit file decides on a unit: drop-ins, and text that it has not read yet."""

import re
from typing import Dict, Iterator

from teal_host.checks.base import Visit, fault, ok, there, warning
from teal_host.supervisors.systemctl import properties
from teal_host.wire.reports import Finding

_OLDEST = 247  # LoadCredential=, ProtectProc=
_OF_A_UNIT = ("NeedDaemonReload", "DropInPaths", "LoadState")


def check(visit: Visit) -> Iterator[Finding]:
    yield version(properties("", ["Version"]).get("Version", ""))
    unit = visit.app.paths.color(visit.slots.live or visit.slots.idle).unit
    yield from loaded(unit, properties(unit, _OF_A_UNIT))


def version(told: str) -> Finding:
    found = re.match(r"v?(\d+)", told)
    if found is None:
        return fault("systemd", "it does not answer", there("systemctl status"))
    if int(found.group(1)) < _OLDEST:
        return fault("systemd", f"systemd {told} is too old: the sandbox needs {_OLDEST}", "a newer Debian or Ubuntu")
    return ok("systemd", told)


def loaded(unit: str, told: Dict[str, str]) -> Iterator[Finding]:
    """`told`: properties of the unit."""
    for path in told.get("DropInPaths", "").split():
        says = f"{path} changes {unit} beside what setup wrote"
        yield warning("systemd", says, "say it in [sandbox] of teal.toml if you can, and take that file out")
    if told.get("NeedDaemonReload") == "yes":
        says = f"{unit} was changed, and systemd has not read it yet"
        yield warning("systemd", says, there("systemctl daemon-reload"))
    if told.get("LoadState") in ("masked", "bad-setting", "error"):
        says = f"systemd cannot start {unit}: it is {told['LoadState']}"
        yield fault("systemd", says, there(f"systemctl status {unit}"))
