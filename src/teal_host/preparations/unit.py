"""The template of the app's units. What runs goes on running; the next start follows the new text."""

from typing import Iterator

from teal_host.ground import files
from teal_host.ground.errors import CannotRun
from teal_host.ground.run import run
from teal_host.preparations import change as setup_change
from teal_host.preparations.base import Intent
from teal_host.preparations.change import DesiredFile, SetupChange
from teal_host.state import footprint
from teal_host.supervisors.unit_text import Unit, recovery_text, unit_text

_PROGRAM_S = 60.0


def acts(intent: Intent) -> Iterator[SetupChange]:
    wanted = wanted_unit(intent)

    def do() -> None:
        wanted.write()
        reload_systemd()

    yield from setup_change.write(wanted, do, "; systemd reads its units again")
    yield from _recovery(intent)


def wanted_unit(intent: Intent) -> DesiredFile:
    return DesiredFile(intent.app.paths, intent.app.paths.unit, unit_text(_unit(intent)))


def _unit(intent: Intent) -> Unit:
    return Unit(intent.app.paths, intent.user, intent.agreed.sandbox, intent.app.host.paths.installed)


def _recovery(intent: Intent) -> Iterator[SetupChange]:
    """What cleans up after a boot, and the link by which it is run then."""
    paths = intent.app.paths
    wanted, link = DesiredFile(paths, paths.recovery, recovery_text(_unit(intent))), paths.recovery_at_boot

    def do() -> None:
        wanted.write()
        footprint.remember(paths, link, setup_change.digest(""))
        files.make_dir(link.parent)
        files.turn_link(link, str(paths.recovery))
        reload_systemd()

    if wanted.is_so and not link.is_symlink():
        yield SetupChange(f"enable {paths.recovery.name}, which cleans up after a boot", do)
    yield from setup_change.write(wanted, do, ", which cleans up after a boot")


def reload_systemd() -> None:
    """It reads unit files again; no program notices."""
    reloaded = run(["systemctl", "daemon-reload"], _PROGRAM_S)
    if reloaded.code:
        raise CannotRun("systemd does not read its units again", reloaded.lines[-3:])
