"""The story of setup: look at the server, say what is missing, and after commit do exactly that."""

from dataclasses import replace
from typing import Iterator, List, Optional, Sequence

from teal_host.ground import files, lock
from teal_host.ground.errors import BadRequest
from teal_host.pipe.channel import Channel
from teal_host.preparations import account, deploy_key, packages, route, server_side, unit
from teal_host.preparations.base import Intent
from teal_host.preparations.change import SetupChange, note
from teal_host.state import agreement, footprint
from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.state.slots import all_colors, read_slots
from teal_host.steps import switch
from teal_host.supervisors.base import STOP_GRACE_S
from teal_host.wire.messages import Done, Note, Plan, Setup

_A_PERSON_READS_WITHIN_S = 3600.0  # nothing is held meanwhile


def setup(app: App, request: Setup, channel: Channel) -> Done:
    """Raises BadRequest for what stands in the way, before anything is changed."""
    app.host.provisioning.check_setup_is_possible()
    told = planned(app, request)
    for one in told:
        if one.is_note:
            app.tell(Note("warning", one.description))
    plan = _plan(told)
    app.tell(plan)
    if request.dry_run or not plan.changes:
        return Done()
    channel.await_commit(_A_PERSON_READS_WITHIN_S)
    with lock.held(app.paths.lock, "setup", request.origin, request.wait_s):
        _remove_unfinished(app)
        _install(app, request, plan)
        with lock.shared(app.host.paths, app.name, "setup"):  # with two setups at once, each would take the same ports
            for act in _as_told(app, request, plan):
                _do(app, act)
    return Done(f"{app.name} is set up")


def planned(app: App, request: Setup) -> List[SetupChange]:
    """In the order in which they are done. Nothing is changed by looking."""
    switch.check_live_link(app)
    intent = _intent(app, request)
    parts = {
        "packages": packages.changes(intent),
        "user": account.changes(intent),
        "teal": server_side.changes(intent),
        "unit": unit.changes(intent),
        "nginx": route.changes(intent),
        "names": _agreement(app, request, intent.agreed),
        "key": deploy_key.changes(intent),
    }
    return [replace(act, part=part) for part, acts in parts.items() for act in acts]


def _intent(app: App, request: Setup) -> Intent:
    return Intent(app, _agreed(app, request), footprint.load(app.paths), request.key, request.no_key)


def _plan(acts: Sequence[SetupChange]) -> Plan:
    return Plan(tuple(act.change for act in acts if not act.is_note))


def _install(app: App, request: Setup, plan: Plan) -> None:
    """Before what apps share is held: it can take minutes, and the others go on deploying."""
    for act in packages.changes(_intent(app, request)):
        if act.change not in plan.changes:
            raise _changed()
        _do(app, replace(act, part="packages"))


def _as_told(app: App, request: Setup, plan: Plan) -> List[SetupChange]:
    """What is left of the plan. Raises BadRequest when the server is not any more as it was for the plan.

    nginx could only be asked after it was installed, so then the plan said less than can be said now.
    """
    acts = planned(app, request)
    left = _plan(acts).changes
    if left != plan.changes and not (
        plan.changes[0].says.startswith(packages.INSTALL) and len(left) < len(plan.changes)
    ):
        raise _changed()
    return [act for act in acts if not act.is_note]


def _changed() -> BadRequest:
    return BadRequest("the server has changed since the plan was made; nothing was done", hint="teal setup again")


def _do(app: App, act: SetupChange) -> None:
    with app.step(act.part) as step:
        step.detail = act.description
        act.do()


def _remove_unfinished(app: App) -> None:
    """What an earlier setup left that was killed."""
    for folder in app.paths.folders:
        files.remove_unfinished(folder)


def _agreed(app: App, request: Setup) -> Agreement:
    """Ports of a color that runs stay; the other one's may move."""
    slots = read_slots(app.paths)
    proposed = agreement.propose(app.host.paths, request.spec, slots.idle if slots.live else None)
    return replace(proposed, user=agreement.user_name(app.name))


def _agreement(app: App, request: Setup, agreed: Agreement) -> Iterator[SetupChange]:
    """After the route: what nginx does not come to serve is not agreed on, and deploys go on as before."""
    yield from _moves_later(app, request, agreed)
    before = agreement.load(app.paths)
    if before == agreed:
        return
    for color in all_colors():
        place = app.paths.color(color)
        if before and before.ports.of(color) != agreed.ports.of(color) and app.host.supervisor.pids(place):
            says = f"stop the standby on {color}, whose port changes"
            yield SetupChange(says, lambda place=place: app.host.supervisor.stop(place, STOP_GRACE_S))  # type: ignore[misc]
    do = lambda: agreement.save(app.paths, agreed)  # noqa: E731
    yield SetupChange(_says(before, agreed), do, unserves=_unserved(app, before, agreed))


def _says(before: Optional[Agreement], agreed: Agreement) -> str:
    if before is None:
        return f"agree on {_site(agreed)}, {_ports(agreed)}"
    pairs = ((_site(before), _site(agreed)), (_ports(before), _ports(agreed)))
    changed = [f"{now} instead of {was}" for was, now in pairs if was != now]
    rules = ((before.proxy, agreed.proxy, "[proxy]"), (before.sandbox, agreed.sandbox, "[sandbox]"))
    changed += [f"{section} as in teal.toml" for was, now, section in rules if was != now]
    return f"agree anew: {'; '.join(changed)}"


def _site(agreed: Agreement) -> str:
    return f"{', '.join(agreed.site.domains) or 'the default site'} on port {agreed.site.http_port}"


def _ports(agreed: Agreement) -> str:
    return ", ".join(f"{color} on {port}" for color, port in agreed.ports.by_color.items())


def _unserved(app: App, before: Optional[Agreement], agreed: Agreement) -> "tuple[str, ...]":
    """When no name of what is live would stay, this may be the teal.toml of another project with the same name."""
    names = before.site.domains if before and read_slots(app.paths).live else ()
    return () if set(names) & set(agreed.site.domains) else names


def _moves_later(app: App, request: Setup, agreed: Agreement) -> Iterator[SetupChange]:
    live, wanted = read_slots(app.paths).live, request.spec.run.ports
    if live and wanted and wanted.of(live) != agreed.ports.of(live):
        says = f"{live} serves, so it stays on port {agreed.ports.of(live)}"
        yield note(f"{says}; it moves to {wanted.of(live)} with: teal deploy, then teal setup, then teal deploy")
