"""The template of the app's units. What runs goes on running; the next start follows the new text."""

import sys
from pathlib import Path
from typing import Iterator

from teal_host import act
from teal_host.act import Act, Wanted
from teal_host.errors import CannotRun
from teal_host.preparations.base import Intent
from teal_host.run import run
from teal_host.supervisors.unit_text import Unit, unit_text

_PROGRAM_S = 60.0


def acts(intent: Intent) -> Iterator[Act]:
    wanted = wanted_unit(intent)

    def do() -> None:
        wanted.write()
        reload_systemd()

    yield from act.write(wanted, do, "; systemd reads its units again")


def wanted_unit(intent: Intent) -> Wanted:
    host = intent.app.host.paths
    python = Path(sys.executable or "/usr/bin/python3")
    text = unit_text(Unit(intent.app.paths, intent.user, intent.agreed.sandbox, python, host.installed))
    return Wanted(intent.app.paths, intent.app.paths.unit, text)


def reload_systemd() -> None:
    """It reads unit files again; no program notices."""
    reloaded = run(["systemctl", "daemon-reload"], _PROGRAM_S)
    if reloaded.code:
        raise CannotRun("systemd does not read its units again", reloaded.lines[-3:])
