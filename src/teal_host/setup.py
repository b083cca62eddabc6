"""The story of setup: look at the server, say what is missing, and after commit do exactly that."""

from dataclasses import replace
from typing import Iterator, List, Optional

from teal_host import agreement, footprint, lock, slot, switch
from teal_host.act import Act
from teal_host.agreement import Agreement
from teal_host.app import App
from teal_host.bring_live import STOP_GRACE_S
from teal_host.errors import BadRequest
from teal_host.preparations import account, deploy_key, packages, route, server_side, unit
from teal_host.preparations.base import Intent
from teal_host.talk import Talk
from teal_host.wire.messages import Done, Plan, Setup

_PREPARATIONS = (packages, account, server_side, unit)


def setup(app: App, request: Setup, talk: Talk) -> Done:
    """Raises BadRequest for what stands in the way, before anything is changed."""
    if not app.host.needs_setup:
        raise BadRequest('this machine needs no setup for target = "local"', hint="teal deploy")
    told = planned(app, request)
    app.tell(Plan(tuple(act.change for act in told)))
    if request.dry_run or not told:
        return Done()
    talk.await_commit()
    with lock.held(app.paths.lock, "setup", request.origin, request.wait_s):
        acts = planned(app, request)
        if [act.change for act in acts] != [act.change for act in told]:
            raise BadRequest(
                "the server has changed since the plan was made; nothing was done", hint="teal setup again"
            )
        for act in acts:
            with app.step("setup") as step:
                step.detail = act.says
                act.do()
    return Done(f"{app.name} is set up")


def planned(app: App, request: Setup) -> List[Act]:
    """In the order in which they are done. Nothing is changed by looking."""
    switch.link_is_true(app)
    intent = Intent(app, _agreed(app, request), footprint.load(app.paths), request.key, request.no_key)
    found: List[Act] = []
    for preparation in _PREPARATIONS:
        found += preparation.acts(intent)
    found += _agreement(app, intent.agreed)
    found += route.acts(intent)
    found += deploy_key.acts(intent)
    return found


def _agreed(app: App, request: Setup) -> Agreement:
    """Ports of a color that runs stay; the other one's may move."""
    proposed = agreement.propose(app.host.paths, request.spec, slot.look(app.paths).idle)
    return replace(proposed, user=agreement.user_name(app.name))


def _agreement(app: App, agreed: Agreement) -> Iterator[Act]:
    """Before the route, because the other way round a deploy would find a route that nobody agreed on."""
    before = agreement.load(app.paths)
    if before == agreed:
        return
    idle = slot.look(app.paths).idle
    place = app.paths.color(idle)
    if before and before.ports.of(idle) != agreed.ports.of(idle) and app.host.supervisor.pids(place):
        says = f"stop the standby on {idle}, whose port changes"
        yield Act(says, lambda: app.host.supervisor.stop(place, STOP_GRACE_S))
    yield Act(_says(before, agreed), lambda: agreement.save(app.paths, agreed))


def _says(before: Optional[Agreement], agreed: Agreement) -> str:
    names = ", ".join(agreed.site.domains) or "the default site"
    where = f"{names} on port {agreed.site.http_port}, blue on {agreed.ports.blue}, green on {agreed.ports.green}"
    return f"{'agree' if before is None else 'agree anew'} on {where}"
