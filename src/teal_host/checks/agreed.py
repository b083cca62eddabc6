"""Does teal.toml match the agreement with this server, and is everything as setup left it?"""

from pathlib import Path
from typing import Iterator, Optional, Sequence, Tuple

from teal_host.checks.base import Visit, drift, fault, from_error, ok, warning
from teal_host.ground import files
from teal_host.ground.errors import BadRequest
from teal_host.ground.remedies import on_server
from teal_host.preparations import packages, server_side, unit
from teal_host.state.agreement import differences
from teal_host.wire.reports import Finding


def check(visit: Visit) -> Iterator[Finding]:
    paths = visit.app.paths
    try:
        visit.app.host.provisioning.agreement_for(visit.spec, visit.slots.idle)
        yield ok("teal.toml", "as agreed with this server")
    except BadRequest as error:
        yield from_error("teal.toml", error)
    for change in packages.changes(visit.intent):
        judge = warning if change.is_optional else fault
        yield judge("packages", f"teal setup would {change.description}", "teal setup")
    yield from drift("unit", unit.changes(visit.intent), f"{paths.unit.name} is as setup wrote it")
    installed = visit.app.host.paths.installed
    needed = list(server_side.changes(visit.intent))
    status = files.status_of(installed)
    yield server(needed[0].description if needed else None, (status.st_uid, status.st_mode) if status else None)
    directories = (*paths.folders, paths.releases, paths.home.parent, paths.agreed.parent.parent)
    statuses = [(path, files.status_of(path)) for path in directories]
    yield folders([(path, status.st_uid, status.st_mode) for path, status in statuses if status])


def check_local(visit: Visit) -> Iterator[Finding]:
    """A deploy to this machine agrees on what teal.toml says."""
    changed = differences(visit.spec, visit.agreed, visit.slots.idle)
    if changed:
        both = [f"{name}: {values}" for name, values in changed.items()]
        yield warning("teal.toml", f"not yet deployed: {', '.join(changed)}", "teal deploy", both)
    else:
        yield ok("teal.toml", "as deployed")


def server(needed: Optional[str], owned: "Optional[tuple[int, int]]") -> Finding:
    """`needed`: what setup would do about the installed server side. `owned`: the owner and the mode of its file."""
    if owned is None:
        return fault("server side", f"no color can start: teal setup would {needed}", "teal setup")
    if owned[0] != 0 or owned[1] & 0o022:
        return fault("server side", "users other than root can change the server side", "teal setup")
    if needed:
        return warning("server side", f"another version of Teal is installed; teal setup would {needed}", "teal setup")
    return ok("server side", "this version of Teal is installed")


def folders(owned: Sequence[Tuple[Path, int, int]]) -> Finding:
    """Each directory with its owner and mode. Whoever can write into one of these can switch the traffic."""
    for path, user, mode in owned:
        if user != 0:
            message = f"{path} belongs to user number {user}, who could switch traffic"
            return fault("folders", message, on_server(f"chown root {path}"))
        if mode & 0o022:
            message = f"users other than root can write into {path}, and so switch traffic"
            return fault("folders", message, on_server(f"chmod go-w {path}"))
    return ok("folders", "only root can change Teal's files")
