"""From nginx to the live color: nginx's file as setup wrote it, a marker in reach, and the color that answers."""

from typing import Iterator, Optional, Tuple

from teal_host.checks import marker
from teal_host.checks.base import Visit, drift, fault, ok
from teal_host.ground.http_probe import NoAnswer, ProbeRequest, http_get
from teal_host.ground.remedies import on_server
from teal_host.preparations import route
from teal_host.proxies import upstream
from teal_host.proxies.nginx import program as nginx_program
from teal_host.proxies.nginx.program import NginxProgram
from teal_host.proxies.upstream import Upstream
from teal_host.wire.grammar import COLORS
from teal_host.wire.reports import ANSWERED_HEADER, PROBE_HEADER, Color, Finding

_ANSWER_WITHIN_S = 4.0


def check_file(visit: Visit) -> Iterator[Finding]:
    """Another check reports an nginx that does not run or refuses its configuration."""
    program = _running()
    if program and program.refusal() is None:
        file = visit.footprint.nginx or "the app's file"
        yield from drift("nginx file", route.changes(visit.intent), f"{file} is as setup wrote it, and in effect")


def check_way(visit: Visit) -> Iterator[Finding]:
    """The server's nginx: its workers must reach the markers. Another check reports an nginx that does not run."""
    program = _running()
    closed = marker.obstacle(program, visit.app.paths) if program else None
    if closed:
        message = f"nginx's workers cannot enter {closed}, so {COLORS[0]} gets every request, whichever color is live"
        yield fault("route", message, on_server(f"chmod o+x {closed}"))
    elif program:
        yield from _answer(visit, "teal setup")


def check_answer(visit: Visit) -> Iterator[Finding]:
    """The user's own nginx."""
    if visit.app.host.proxy.serves(visit.agreed.route(visit.app.paths)):
        yield from _answer(visit, "teal deploy")


def _running() -> Optional[NginxProgram]:
    program = nginx_program.find()
    return program if program and program.master else None


def _answer(visit: Visit, hint: str) -> Iterator[Finding]:
    """`hint`: the command that writes the route."""
    live = visit.slots.live
    if live:
        by, status = _answering_address(visit)
        silent = live_is_silent(live, status) if status in (502, 504) else None
        finding = answered(live, upstream.now(visit.app.paths.color(live), visit.agreed.ports), by, hint)
        yield silent if silent and finding.state == "ok" else finding


def answered(live: Color, asked: Upstream, by: str, hint: str) -> Finding:
    """`by`: the address to which nginx passed the request, or why there was no answer."""
    if asked.is_named(by):
        return ok("route", f"nginx asks {live}, which is live")
    message = f"nginx asked {by or 'some other site'}, not {live} on {asked.listens_on}, which is live"
    return fault("route", message, hint)


def live_is_silent(live: Color, status: int) -> Finding:
    """The way is right. `status`: what nginx itself answers where a program gives no answer."""
    hint = f"teal logs --color {live}; then teal deploy, or teal rollback"
    return fault("route", f"nginx asks {live}, which is live and does not answer: {status}", hint)


def _answering_address(visit: Visit) -> Tuple[str, int]:
    """And the status of the answer; 0 without an answer."""
    record = visit.record(visit.slots.live)
    site, proxy = visit.agreed.site, visit.app.host.proxy
    path = (record.spec if record else visit.spec).health.path.split("{")[0]
    probe = ((PROBE_HEADER, visit.agreed.token),)
    try:
        answer = http_get(ProbeRequest(proxy.address(site), path, site.host, probe, _ANSWER_WITHIN_S))
    except NoAnswer as no_answer:
        return f"nobody ({no_answer})", 0
    return answer.headers.get(ANSWERED_HEADER.lower(), ""), answer.status
