"""The story of setup: look at the server, say what is missing, and after commit do exactly that."""

from dataclasses import replace
from typing import Iterator, List, Optional

from teal_host import agreement, footprint, lock, slot, switch
from teal_host.act import Act
from teal_host.agreement import Agreement
from teal_host.app import App
from teal_host.errors import BadRequest
from teal_host.preparations import account, deploy_key, packages, route, server_side, unit
from teal_host.preparations.base import Intent
from teal_host.talk import Talk
from teal_host.wire.messages import Done, Plan, Setup

_PREPARATIONS = (packages, account, server_side, unit)


def setup(app: App, request: Setup, talk: Talk) -> Done:
    """Raises BadRequest for what stands in the way, before anything is changed."""
    if not app.host.needs_setup:
        raise BadRequest("this machine needs no setup for target = \"local\"", hint="teal deploy")
    if request.dry_run:
        app.tell(Plan(tuple(act.change for act in planned(app, request))))
        return Done()
    acts = planned(app, request)
    app.tell(Plan(tuple(act.change for act in acts)))
    talk.await_commit()
    with lock.held(app.paths.lock, "setup", request.origin, request.wait_s):
        for act in acts:
            with app.step("setup") as step:
                step.detail = act.says
                act.do()
    return Done(f"{app.name} is set up" if acts else "nothing to do")


def planned(app: App, request: Setup) -> List[Act]:
    """In the order in which they are done. Nothing is changed by looking."""
    switch.link_is_true(app)
    intent = Intent(app, _agreed(app, request), footprint.load(app.paths), request.key)
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
    if before != agreed:
        yield Act(_says(before, agreed), lambda: agreement.save(app.paths, agreed))


def _says(before: Optional[Agreement], agreed: Agreement) -> str:
    names = ", ".join(agreed.site.domains) or "the default site"
    where = f"{names} on port {agreed.site.http_port}, blue on {agreed.ports.blue}, green on {agreed.ports.green}"
    return f"{'agree' if before is None else 'agree anew'} on {where}"
