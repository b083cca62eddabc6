"""Turn the traffic: one rename of the link that nginx asks at every request, proved by a question through nginx.

No reload: a reload closes idle keep-alive connections, and who is just sending loses a request.
"""

import time
from typing import Optional

from teal_host.ground import files
from teal_host.ground.errors import HostError, NeedsHuman
from teal_host.ground.http_probe import NoAnswer, ProbeRequest, http_get, json_differs
from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.state.route import ANSWERED_HEADER, PROBE_HEADER
from teal_host.state.slots import all_colors, read_slots
from teal_host.steps.candidate import Candidate
from teal_host.wire.reports import Color

_PROVED_WITHIN_S = 5.0
_BETWEEN_S = 0.05


class NotVerified(HostError):
    """nginx does not show the new color, or not as it should answer."""


def settle(app: App) -> None:
    """What is live, as the link says, comes back at boot; what is not does not."""
    live = read_slots(app.paths).live
    colors = {color: app.paths.color(color) for color in all_colors()}
    app.host.supervisor.favor(colors.pop(live) if live else None, list(colors.values()))


def point_live_to(app: App, color: Color) -> None:
    """The switch itself. The next request on every connection sees it."""
    files.turn_link(app.paths.live, color)


def verify(app: App, candidate: Candidate, agreed: Agreement) -> str:
    """Ask through nginx until the candidate answers as it should. Raises NotProved after 5 s."""
    deadline = time.monotonic() + _PROVED_WITHIN_S
    while True:
        wrong = _look(app, candidate, agreed)
        if wrong is None:
            return f"through {app.host.proxy.url(agreed.site)}"
        if time.monotonic() > deadline:
            raise wrong
        time.sleep(_BETWEEN_S)


def is_verified(app: App, candidate: Candidate, agreed: Agreement) -> bool:
    try:
        verify(app, candidate, agreed)
    except NotVerified:
        return False
    return True


def restore(app: App, before: Optional[Color], was_agreed: Optional[Agreement]) -> None:
    """As it was: the link back first, because it is what serves; then the route."""
    if before is None:
        app.host.provisioning.withdraw_route(app.paths)
        files.remove(app.paths.live)
    else:
        point_live_to(app, before)
    settle(app)
    if before and was_agreed is not None:
        app.host.provisioning.restore_route(was_agreed)


def check_live_link(app: App) -> None:
    """Before anything is changed: refuse to work on links that nobody understands. Raises NeedsHuman."""
    slots = read_slots(app.paths)
    if slots.live and not slots.live_release:
        raise NeedsHuman(
            f"{app.paths.live} points to {slots.live}, which holds no release",
            hint=f"point it to the color that runs, or remove it to start anew: rm {app.paths.live}",
        )


def _look(app: App, candidate: Candidate, agreed: Agreement) -> Optional[NotVerified]:
    """What is wrong with the answer through nginx, or None."""
    verify, health = candidate.spec.verify, candidate.spec.health
    wanted = verify if verify.path else health
    path = candidate.filled(verify.path or health.path)
    address = app.host.proxy.address(agreed.site)
    try:
        answer = http_get(
            ProbeRequest(address, path, agreed.site.host, ((PROBE_HEADER, agreed.token),), _PROVED_WITHIN_S)
        )
    except NoAnswer as none:
        return NotVerified(f"nginx at {address[0]}:{address[1]}: {none}")
    answered_by = answer.headers.get(ANSWERED_HEADER.lower(), "")
    if not answered_by.endswith(f":{candidate.port}"):
        says = f"nginx asked {answered_by or 'some other site'}, not {candidate.color} on port {candidate.port}"
        asks = f"can nginx look into {candidate.slot_paths.home}? " if answered_by else ""
        return NotVerified(says, hint=f"{asks}see: teal doctor")
    if answer.status != wanted.status:
        return NotVerified(f"through nginx {path} answers {answer.status}, expected {wanted.status}")
    differs = json_differs(answer.body, candidate.filled(wanted.json))
    return NotVerified(f"through nginx {path} answers, but {differs}") if differs else None
