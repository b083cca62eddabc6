"""Only the app answers on its ports, each color only on its own, and only this machine reaches them."""

from functools import partial
from typing import Iterator, Optional

from teal_host.ground import files, sockets, systemctl
from teal_host.ground.paths import AppPaths
from teal_host.ground.run import run
from teal_host.preparations import change as setup_change
from teal_host.preparations import packages
from teal_host.preparations.base import Intent
from teal_host.preparations.change import DesiredFile, SetupChange, note
from teal_host.state import footprint
from teal_host.state.slots import read_slots
from teal_host.supervisors import nftables, port_limits
from teal_host.supervisors.port_limits import PortLimits
from teal_host.wire.sources import PYTHON

_BIND = """
import socket
try: socket.socket().bind(("127.0.0.1", 65535))
except PermissionError: raise SystemExit(0)
raise SystemExit(1)
"""
_TRIED_S = 8.0


def changes(intent: Intent) -> Iterator[SetupChange]:
    limits = limits_of(intent)
    if limits.filtered:
        yield from _loaded(limits)
    else:
        yield note(f"{unprotected(intent)}: {obstacle()}")
    yield from _bound(intent, limits)
    yield from map(note, doubts(limits))


def limits_of(intent: Intent) -> PortLimits:
    """In a slice that an admin has chosen the rules do not ask who listens: they would close the app."""
    paths, agreed, filtered = intent.app.paths, intent.agreed, obstacle() is None
    own = port_limits.slice_of(paths)
    units = (systemctl.properties(color.unit, ["Slice"]) for color in paths.colors)
    slices = {unit.get("Slice") or own for unit in units}  # empty before the first setup
    asked = own if filtered and slices == {own} and nftables.knows_listeners() else ""
    return PortLimits(paths, intent.user, agreed.pairs, agreed.sandbox, filtered, sockets.first_client_port(), asked)


def obstacle() -> Optional[str]:
    """Why nftables cannot protect the ports here. None also where setup would first install nft."""
    if not nftables.is_installed():
        return None if packages.is_installed("apt-get") else "this server has no nft, and no apt-get to install it"
    why = nftables.obstacle()
    return f"the kernel takes no rules of nftables ({why})" if why else None


def unprotected(intent: Intent) -> str:
    ports = " and ".join(map(str, intent.agreed.every_port))
    return f"while a color is down, any local user can answer on its port ({ports})"


def doubts(limits: PortLimits) -> Iterator[str]:
    if limits.filtered and not limits.slice:
        yield "the rules know no listener by its slice here, so nginx waits 5 s for a stranger on a color's port"
    for port in limits.every_port:
        if port >= limits.clients_from:
            means = f"the kernel gives port {port} to clients too, and while one has it no color starts there"
            yield f"{means}: set run.ports below {limits.clients_from}"


def binds_are_limited() -> bool:
    """Tries a forbidden bind in a unit of systemd, which ignores the limit silently where it has no BPF.

    A oneshot ends before systemd-run does; --wait needs D-Bus.
    """
    unit = ("--quiet", "--collect", "--property=Type=oneshot", "--property=SocketBindDeny=1-65535")
    return run(["systemd-run", *unit, PYTHON, "-I", "-S", "-c", _BIND], _TRIED_S).code == 0


def withdraw(paths: AppPaths) -> None:
    """The app's processes have ended."""
    if paths.port_loader.exists():
        systemctl.order("stop", paths.port_loader.name, _TRIED_S, lambda: True)
    nftables.remove(port_limits.table(paths))


def _loaded(limits: PortLimits) -> Iterator[SetupChange]:
    paths, ports = limits.paths, " and ".join(map(str, limits.every_port))
    rules = DesiredFile(paths, paths.port_rules, port_limits.rules_text(limits))
    loader = DesiredFile(paths, paths.port_loader, port_limits.loader_text(limits))
    yield from setup_change.write(rules)
    yield from setup_change.write(loader, partial(_enable, loader), ", which loads these rules before nginx starts")
    if loader.is_so and not paths.port_loader_at_boot.is_symlink():
        text = f"enable {paths.port_loader.name}, which loads these rules before nginx starts"
        yield SetupChange(text, partial(_enable, loader))
    if not nftables.is_loaded(port_limits.table(paths), rules.text):
        does = f"load the table inet {port_limits.table(paths)} into nftables: on {ports} only {limits.user} answers"
        excepted = "what this machine forwards, as for containers, passes as before"
        text = f"{does}, and only this machine reaches them; {excepted}"
        yield SetupChange(text, partial(_load, paths), is_optional=True)


def _enable(loader: DesiredFile) -> None:
    link = loader.paths.port_loader_at_boot
    loader.write()
    footprint.remember(loader.paths, link, setup_change.digest(""))
    files.make_dir(link.parent)
    files.turn_link(link, str(loader.path))
    systemctl.reload_units()


def _load(paths: AppPaths) -> None:
    """Where the kernel turns out to take no rules, the doctor says so. The loader first: the rules name its slice."""
    if nftables.obstacle() is None:
        systemctl.order("restart", paths.port_loader.name, _TRIED_S, lambda: True)
        nftables.load(paths.port_rules)


def _lost(intent: Intent, limits: PortLimits) -> Iterator[str]:
    """What the program that is live takes now, and from its next start on may not."""
    live = read_slots(limits.paths).live
    pids = set(intent.app.host.supervisor.pids(limits.paths.color(live))) if live else set()
    own = {f"{pair.of(live)} (tcp)" for pair in limits.pairs} if live else set()
    for port in sorted(sockets.ports_of(pids, limits.clients_from) - own):
        means = f"{live} also listens on {port}: from its next start on it may not, unless [run] ports2 names it"
        yield f"{means}, or an admin's drop-in allows that"


def _bound(intent: Intent, limits: PortLimits) -> Iterator[SetupChange]:
    texts = {color: port_limits.color_text(limits, color) for color in limits.paths.colors}
    desired = {color: DesiredFile(limits.paths, limits.paths.port_limit(color), text) for color, text in texts.items()}
    if all(file.is_so for file in desired.values()):
        return
    is_limited = binds_are_limited()
    does = "it takes no port but its own" if is_limited else "this systemd limits no binds (tried)"
    yield from map(note, _lost(intent, limits) if is_limited else ())
    for color, file in desired.items():
        yield from setup_change.write(file, partial(_write, file), f", from the next start of {color.color} on: {does}")


def _write(file: DesiredFile) -> None:
    file.write()
    systemctl.reload_units()
