"""Is what teal.toml says what was agreed with this server, and is what setup put here as setup put it?"""

from pathlib import Path
from typing import Iterator, Optional, Sequence, Tuple

from teal_host.checks.base import Visit, drift, fault, ok, refused, there, warning
from teal_host.ground.errors import BadRequest
from teal_host.preparations import packages, server_side, unit
from teal_host.wire.reports import Finding


def check(visit: Visit) -> Iterator[Finding]:
    paths = visit.app.paths
    try:
        visit.app.host.provisioning.agreement_for(visit.spec, visit.slots.idle)
        yield ok("teal.toml", "as agreed with this server")
    except BadRequest as error:
        yield refused("teal.toml", error)
    for act in packages.acts(visit.intent):
        yield fault("packages", f"teal setup would {act.says}", "teal setup")
    yield from drift("unit", unit.acts(visit.intent), f"{paths.unit.name}, as setup wrote it")
    installed = visit.app.host.paths.installed
    needed = list(server_side.acts(visit.intent))
    owned = installed.stat() if installed.is_file() else None
    yield server(needed[0].says if needed else None, (owned.st_uid, owned.st_mode) if owned else None)
    folders = (*paths.folders, paths.releases, paths.home.parent, paths.agreed.parent.parent)
    there = [(folder, folder.stat()) for folder in folders if folder.is_dir()]
    yield kept([(folder, found.st_uid, found.st_mode) for folder, found in there])


def server(needed: Optional[str], owned: "Optional[tuple[int, int]]") -> Finding:
    """`needed`: what setup would do about the installed server side; `owned`: whose it is, and its mode."""
    if owned is None:
        return fault("server side", f"no color can be started: teal setup would {needed}", "teal setup")
    if owned[0] != 0 or owned[1] & 0o022:
        return fault("server side", "others than root can change it", "teal setup")
    if needed:
        return warning("server side", f"of another Teal; teal setup would {needed}", "teal setup")
    return ok("server side", "installed, of this Teal")


def kept(folders: Sequence[Tuple[Path, int, int]]) -> Finding:
    """`folders`: where Teal keeps things, each with its owner and mode. Who can write there can turn the traffic."""
    for path, user, mode in folders:
        if user != 0:
            return fault(
                "folders", f"{path} belongs to user number {user}, who could turn traffic", there(f"chown root {path}")
            )
        if mode & 0o022:
            return fault(
                "folders", f"others than root can write into {path}, and so turn traffic", there(f"chmod go-w {path}")
            )
    return ok("folders", "root alone can change what Teal keeps")
