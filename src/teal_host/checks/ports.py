"""Who can answer on the ports of the colors: somebody else, or somebody from outside?"""

from typing import Iterator

from teal_host.checks.base import Visit, drift, fault, ok, warning
from teal_host.preparations import ports
from teal_host.proxies import upstream
from teal_host.steps import health
from teal_host.supervisors import nftables
from teal_host.wire.grammar import COLORS
from teal_host.wire.reports import Finding

_NO_LIMIT = "systemd limits no binds here (tried), so an old release could take the port of its own next one"


def check_listeners(visit: Visit) -> Iterator[Finding]:
    """A stranger where nginx asks the live color answers the app's visitors."""
    strangers = []
    for color in COLORS:
        slot = visit.app.paths.color(color)
        asked = upstream.now(slot, visit.agreed.ports)
        stranger = health.stranger_on(visit.app, slot, asked)
        if stranger:
            strangers.append(stranger)
            is_live = color == visit.slots.live
            means = "nginx asks it for the app's visitors" if is_live else f"so no release starts on {color}"
            message = f"{asked.listens_on} of {color} is held by {stranger}, not by {color}; {means}"
            yield (fault if is_live else warning)("listeners", message, "end that process, then teal deploy")
    if not strangers:
        yield ok("listeners", "nobody else listens where nginx asks the colors")


def check_limits(visit: Visit) -> Iterator[Finding]:
    """What setup has put in their way is tried, not believed."""
    binds = (
        "systemd keeps each color to its own port (a second one: [run] ports2)"
        if ports.binds_are_limited()
        else _NO_LIMIT
    )
    why = ports.obstacle()
    if why or not nftables.is_installed():
        hint = "" if why else "teal setup"
        yield warning("port rules", f"{ports.unprotected(visit.intent)}: {why or 'nft is not installed'}", hint)
    else:
        numbers = " and ".join(map(str, visit.agreed.every_port))
        well = f"on {numbers} only {visit.intent.user} answers, and only this machine asks; {binds}"
        for text in ports.doubts(ports.limits_of(visit.intent)):
            yield warning("port rules", text)
        yield from drift("port rules", ports.changes(visit.intent), well)
