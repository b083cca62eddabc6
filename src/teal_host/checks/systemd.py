"""systemd itself, and what changes a unit beside its file: drop-ins, and a file that systemd has not read yet."""

import re
from typing import Dict, Iterator

from teal_host.checks.base import Visit, fault, ok, warning
from teal_host.ground.remedies import on_server
from teal_host.ground.systemctl import properties
from teal_host.wire.reports import Finding

_OLDEST = 247  # LoadCredential=, ProtectProc=
_OF_A_UNIT = ("NeedDaemonReload", "DropInPaths", "LoadState")


def check(visit: Visit) -> Iterator[Finding]:
    yield version(properties("", ["Version"]).get("Version", ""))
    color = visit.app.paths.color(visit.slots.live or visit.slots.idle)
    unit_properties = properties(color.unit, _OF_A_UNIT)
    own = str(visit.app.paths.port_limit(color))
    others = [path for path in unit_properties.get("DropInPaths", "").split() if path != own]
    yield from loaded(color.unit, {**unit_properties, "DropInPaths": " ".join(others)})


def version(text: str) -> Finding:
    """A newer Python is easily installed beside an old systemd."""
    number = re.match(r"v?([0-9]{1,9})", text)
    if number and int(number.group(1)) < _OLDEST:
        return fault("systemd", f"systemd {text} is too old: the sandbox needs {_OLDEST}", "a newer Debian or Ubuntu")
    return ok("systemd", text)


def loaded(unit: str, unit_properties: Dict[str, str]) -> Iterator[Finding]:
    for path in unit_properties.get("DropInPaths", "").split():
        message = f"{path} changes {unit}, beside what setup wrote"
        reload = on_server("systemctl daemon-reload")  # systemd does not ask for it where the unit could not be loaded
        hint = f"write it into [sandbox] or [run] ports2 of teal.toml if you can, remove that file, then {reload}"
        yield warning("systemd", message, hint)
    if unit_properties.get("NeedDaemonReload") == "yes":
        message = f"{unit} was changed, and systemd has not read it yet"
        yield warning("systemd", message, on_server("systemctl daemon-reload"))
    if unit_properties.get("LoadState") in ("masked", "bad-setting", "error"):
        verb = "unmask" if unit_properties["LoadState"] == "masked" else "status"
        message = f"systemd cannot start {unit}: it is {unit_properties['LoadState']}"
        yield fault("systemd", message, on_server(f"systemctl {verb} {unit}"))
