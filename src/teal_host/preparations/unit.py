"""The template of the app's units. Running programs run on; the next start uses the new text."""

import contextlib
import grp
from typing import Iterator, Optional

from teal_host.ground import files, systemctl
from teal_host.ground.errors import BadRequest
from teal_host.preparations import change as setup_change
from teal_host.preparations import sockets
from teal_host.preparations.base import Intent
from teal_host.preparations.change import DesiredFile, SetupChange
from teal_host.proxies.nginx import program as nginx_program
from teal_host.proxies.nginx.program import NginxProgram
from teal_host.state import footprint
from teal_host.supervisors.unit_text import Unit, recovery_text, unit_text

_BUS = "/run/dbus"
_DEBIANS_GROUP = "www-data"


def changes(intent: Intent) -> Iterator[SetupChange]:
    yield from sockets.changes(intent)  # first: the unit needs what is mounted
    desired = desired_unit(intent)

    def do() -> None:
        desired.write()
        systemctl.reload_units()

    reached = _BUS not in (files.text_of(desired.path) or "")
    hidden = f"; the program does not reach the system bus in {_BUS}" if reached else ""
    yield from setup_change.write(desired, do, f"{hidden}; systemd reads its units again")
    yield from _recovery(intent)


def desired_unit(intent: Intent) -> DesiredFile:
    return DesiredFile(intent.app.paths, intent.app.paths.unit, unit_text(_unit(intent)))


def _unit(intent: Intent) -> Unit:
    installed, sandbox = intent.app.host.paths.installed, intent.agreed.sandbox
    group = _nginx_group() if intent.agreed.sockets else ""
    return Unit(intent.app.paths, intent.user, sandbox, installed, systemctl.version(), group)


def _nginx_group() -> str:
    """That of the running workers; where nginx is still to be started, of its configuration; else Debian's."""
    program = nginx_program.find()
    worker = program.worker() if program else None
    with contextlib.suppress(KeyError):  # a group without a name
        return grp.getgrgid(worker.group).gr_name if worker else _configured_group(program)
    return str(worker.group) if worker else _DEBIANS_GROUP


def _configured_group(program: Optional[NginxProgram]) -> str:
    """`user NAME [GROUP]`, where the group is called as the user unless it is named. Others say what nginx refuses."""
    with contextlib.suppress(BadRequest, StopIteration):
        return next(directive.args[-1] for directive in program.tree().top("user")) if program else _DEBIANS_GROUP
    return _DEBIANS_GROUP


def _recovery(intent: Intent) -> Iterator[SetupChange]:
    """The unit that cleans up after a boot, and the link because of which systemd starts it then."""
    paths = intent.app.paths
    desired, link = DesiredFile(paths, paths.recovery, recovery_text(_unit(intent))), paths.recovery_at_boot

    def do() -> None:
        desired.write()
        footprint.remember(paths, link, setup_change.digest(""))
        files.make_dir(link.parent)
        files.turn_link(link, str(paths.recovery))
        systemctl.reload_units()

    if desired.is_so and not link.is_symlink():
        yield SetupChange(f"enable {paths.recovery.name}, which cleans up after a boot", do)
    yield from setup_change.write(desired, do, ", which cleans up after a boot")
