"""Switch traffic: one rename of the link that nginx tests on every request, verified by a request through nginx.

No reload: a reload closes idle keep-alive connections, and a client that is just sending on one loses its request.
"""

import contextlib
from dataclasses import replace
from functools import partial
from typing import Optional

from teal_host.ground import files, sockets
from teal_host.ground.errors import CannotRun, HostError, NeedsHuman
from teal_host.ground.http_probe import NoAnswer, ProbeRequest, ProbeResponse, http_get, json_differs
from teal_host.ground.remedies import on_host
from teal_host.state import releases
from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.state.route import Route
from teal_host.state.seams import Proxy
from teal_host.state.slots import read_slots
from teal_host.steps import health
from teal_host.steps.candidate import Candidate
from teal_host.steps.judgement import PATIENT, Judgement, Patience, ProbeResult, Verdict, judge
from teal_host.wire.app import HTTPS_PORT, NO_HTTPS, Keep
from teal_host.wire.grammar import COLORS
from teal_host.wire.reports import ANSWERED_HEADER, PROBE_HEADER, Color, Entrance

_VERIFY = Patience(5.0, pause_s=0.05)
_NGINX_ITSELF = (502, 504)  # nginx answers so when it got no answer


class NotVerified(HostError):
    """nginx does not show the new color, or not as it should answer."""


class NoProof(NotVerified):
    """nginx gives no answer at all."""


class NotKnown(NeedsHuman):
    """nginx runs and gives no answer, so nothing is known of a route."""


def judge_route(proxy: Proxy, route: Route, within_s: float = PATIENT.deadline_s) -> Judgement:
    """Well where exactly this route is in effect; unknown where nginx gives no answer: it may be slow, or be stopped.

    One slow answer of nginx is no verdict.
    """
    reason = f"nginx does not serve {route.app} as setup agreed"
    patience = replace(PATIENT, deadline_s=within_s)
    return judge(lambda answer_s: ProbeResult("well" if proxy.serves(route) else "sick", reason), patience)


def settle(app: App) -> None:
    """The color that the link points to starts at boot; the other one does not."""
    live = read_slots(app.paths).live
    colors = {color: app.paths.color(color) for color in COLORS}
    app.host.supervisor.favor(colors.pop(live) if live else None, list(colors.values()))


def point_live_to(app: App, color: Color) -> None:
    """The switch itself. The next request on every connection sees it.

    What the standby has answered, it has answered for the color before. No switch fails for that log.
    """
    with contextlib.suppress(OSError):
        files.empty(app.host.proxy.fallback_log_of(app.name))
    files.turn_link(app.paths.live, color)


def offer_fallback(app: App, standby: Optional[Candidate], keep: Optional[Keep]) -> None:
    """From now on nginx asks this release where one with this [keep] gives no answer, if this release was live and
    runs; else no color. What is live may be offered before the switch away from it: no color stands in for itself, so
    that takes effect with the switch.
    """
    was_live = standby is not None and standby.record.outcome in ("live", "superseded")
    if standby and keep and keep.fallback and was_live and _may_answer(app, standby):
        _turn_fallback_to(app, standby.color)
    else:
        withdraw_fallback(app)


def withdraw_fallback(app: App) -> None:
    """Before a standby is stopped, and where nobody knows what runs."""
    files.remove(app.paths.fallback)


def _may_answer(app: App, standby: Candidate) -> bool:
    """It runs, and nobody else has its port. As far as is known: no switch fails for this question."""
    slot = standby.slot_paths
    with contextlib.suppress(CannotRun, OSError):
        runs = app.host.supervisor.state(slot).state == "running"
        return runs and health.stranger_on(app, slot, standby.upstream) is None
    return False


def _turn_fallback_to(app: App, color: Color) -> None:
    target = files.link_target(app.paths.fallback)
    if target is None or target.name != color:
        files.turn_link(app.paths.fallback, color)


def verify(app: App, candidate: Candidate, agreed: Agreement) -> str:
    """Ask through nginx until the candidate answers as it should. Raises NotVerified after 5 s."""
    judgement = _judge_through_nginx(app, candidate, agreed)
    if not judgement.well:
        kind = NoProof if judgement.probes[-1].silent else NotVerified
        raise kind(judgement.reason, hint=judgement.hint)
    return judgement.reason


def is_verified(app: App, candidate: Candidate, agreed: Agreement) -> bool:
    return _judge_through_nginx(app, candidate, agreed).well


def judge_answers(app: App, candidate: Candidate, agreed: Agreement) -> Judgement:
    """Like `verify`, and tells a sick release from a route that cannot be verified, which is unknown.

    Where nginx gives no answer, the release is to blame only if it gives none to a direct request either.
    """
    judgement = _judge_through_nginx(app, candidate, agreed)
    if judgement.verdict != "unknown":
        return judgement
    directly = judge(partial(probe_directly, candidate), PATIENT)
    return directly if directly.verdict == "sick" else judgement


def _judge_through_nginx(app: App, candidate: Candidate, agreed: Agreement) -> Judgement:
    return judge(partial(probe_through_nginx, app, candidate, agreed), _VERIFY)


def probe_through_nginx(app: App, candidate: Candidate, agreed: Agreement, answer_s: float) -> ProbeResult:
    """Sick only if nginx asked the candidate and got a wrong answer. A route that leads elsewhere is unknown.

    An answer counts for nothing while somebody else listens on the candidate's port.
    """
    stranger = health.stranger_on(app, candidate.slot_paths, candidate.upstream)
    if stranger:
        reason = f"{candidate.upstream.listens_on} of {candidate.color} is held by {stranger}"
        return ProbeResult("sick", reason, hopeless=True)
    address, path = app.host.proxy.address(agreed.site), _verified_path(candidate)
    headers = ((PROBE_HEADER, agreed.token), *candidate.headers)
    try:
        answer = _as_a_visitor(ProbeRequest(address, path, agreed.site.host, headers, answer_s), agreed)
    except NoAnswer as none:
        return ProbeResult("unknown", f"nginx at {address[0]}:{address[1]}: {none}", silent=none.silent)
    answered_by = answer.headers.get(ANSWERED_HEADER.lower(), "")
    if not candidate.upstream.is_named(answered_by):
        where = f"{candidate.color} on {candidate.upstream.listens_on}"
        reason = f"nginx asked {answered_by or 'some other site'}, not {where}"
        return ProbeResult("unknown", reason, hint="teal doctor")
    wrong = _wrong(candidate, answer)
    if wrong:
        verdict: Verdict = "unknown" if answer.status in _NGINX_ITSELF else "sick"
        return ProbeResult(verdict, f"through nginx {path} answers {wrong}")
    return ProbeResult("well", f"through {app.host.proxy.url(agreed.route(app.paths))}")


def _as_a_visitor(request: ProbeRequest, agreed: Agreement) -> ProbeResponse:
    """Over HTTPS, where that is agreed. No certificate is a reason to turn back, also one that nginx cannot open: then
    Teal asks nginx over HTTP.
    """
    if agreed.https != NO_HTTPS:
        with contextlib.suppress(NoAnswer):
            return http_get(replace(request, address=(request.address[0], HTTPS_PORT), encrypted=True))
    return http_get(request)


def entrance(app: App, agreed: Agreement) -> Entrance:
    """With the mark only if nginx answers to it: nginx may have a file of before there was a mark."""
    proxy, route = app.host.proxy, agreed.route(app.paths)
    headers, mark = ((PROBE_HEADER, route.mark.question),), None
    with contextlib.suppress(NoAnswer):
        answer = http_get(ProbeRequest(proxy.address(route.site), route.own_path, route.site.host, headers, 2.0))
        mark = route.mark if answer.headers.get(ANSWERED_HEADER.lower()) == route.mark.answer else None
    return Entrance(proxy.url(route), (*sockets.addresses(), *sockets.addresses_v6()), mark)


def restore(app: App, previous_color: Optional[Color], previous_agreement: Optional[Agreement]) -> None:
    """As it was: the link first, because it is what serves; then the route."""
    if previous_color is None:
        app.host.provisioning.withdraw_route(app.paths)
        files.remove(app.paths.live)
    else:
        point_live_to(app, previous_color)
    settle(app)
    if previous_color and previous_agreement is not None:
        app.host.provisioning.restore_route(previous_agreement)


def check_live_link(app: App) -> None:
    """Before anything is changed. Raises NeedsHuman when the live color holds no release."""
    slots = read_slots(app.paths)
    if slots.live and not slots.live_release:
        link = app.paths.color(slots.live).release
        stored = [entry.release for entry in releases.load(app.paths) if app.paths.release(entry.release).is_dir()]
        restore = on_host(app.paths.root, f"ln -sfn ../releases/{stored[-1] if stored else 'RELEASE'} {link}")
        message = f"{app.paths.live} points to {slots.live}, which holds no release"
        raise NeedsHuman(message, hint=f"{restore} (the release that runs there); then the same command again")


def probe_directly(candidate: Candidate, answer_s: float) -> ProbeResult:
    """What `verify` asks through nginx, without nginx."""
    path = _verified_path(candidate)
    try:
        answer = http_get(
            ProbeRequest(candidate.upstream.address, path, candidate.spec.site.host, candidate.headers, answer_s)
        )
    except NoAnswer as none:
        return ProbeResult("sick", f"{path}: {none}")
    wrong = _wrong(candidate, answer)
    return ProbeResult("sick", f"{path} answers {wrong}") if wrong else ProbeResult("well", "")


def _verified_path(candidate: Candidate) -> str:
    verify, health = candidate.spec.verify, candidate.spec.health
    return str(candidate.filled(verify.path or health.path))


def _wrong(candidate: Candidate, answer: ProbeResponse) -> str:
    """What is not as [verify] wants it; where that names no path, as [health] does."""
    verify, health = candidate.spec.verify, candidate.spec.health
    wanted = verify if verify.path else health
    if answer.status != wanted.status:
        return f"{answer.status}, expected {wanted.status}"
    differs = json_differs(answer, candidate.filled(wanted.json))
    return f"{answer.status}, but {differs}" if differs else ""
