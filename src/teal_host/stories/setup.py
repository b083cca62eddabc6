"""The story of setup: inspect the server, plan what is missing, and after commit apply exactly that."""

import contextlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Iterator, List, Optional, Sequence, cast

from teal_host.ground import files, lock, overtaking
from teal_host.ground.errors import BadRequest, GaveWay
from teal_host.ground.paths import ColorPaths
from teal_host.pipe.channel import A_PERSON_READS_WITHIN_S, Channel
from teal_host.preparations import (
    account,
    certificate,
    deploy_key,
    packages,
    ports,
    renewal,
    route,
    server_side,
    tls_folder,
    unit,
)
from teal_host.preparations.base import Intent, KeyIntent
from teal_host.preparations.change import SetupChange, note
from teal_host.state import agreement, footprint
from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.state.deploy_keys import DeployKey
from teal_host.state.slots import read_slots
from teal_host.steps import drain, switch
from teal_host.steps.scene import read_scene, renew_fallback
from teal_host.stories import certificates, recover
from teal_host.supervisors import nftables
from teal_host.wire.grammar import COLORS
from teal_host.wire.messages import Done, Note, Plan
from teal_host.wire.requests import Setup

_OF_KEYS, _PACKAGES, _ORDER = "key", "packages", "order"
_STAND_IN_S = 10.0  # longer than nginx keeps an unused connection
_SOCKETS = "a unix socket for each color, where a release uses {socket}"


def setup(app: App, request: Setup, channel: Channel) -> Done:
    """Raises BadRequest for what stands in the way, before anything is changed."""
    app.host.provisioning.check_setup_is_possible()
    changes = planned(app, request)
    for change in changes:
        if change.is_note:
            app.tell(Note("warning", change.description))
    app.tell(_plan(changes))
    if request.dry_run:
        return _done(app, "")
    if not _plan(changes).changes:
        _sync_named(app)
        return _done(app, "")
    channel.await_commit(A_PERSON_READS_WITHIN_S)
    if all(change.part == _OF_KEYS for change in changes if not change.is_note):
        return _change_keys(app, request, changes)
    with lock.of_app(app.paths, "setup", request.origin, request.wait_s), _fallback_renewed(app):
        _remove_unfinished(app)
        try:
            _install(app, request, changes)
            _drain(app, request)
            _apply_rest(app, request, changes)
        except GaveWay as error:
            error.hint = "teal setup"
            raise
        _sync_named(app)
    return Done(f"{app.name} is set up", certificates.order(app, channel))


def _done(app: App, message: str) -> Done:
    return Done(message, certificates.report(agreement.load(app.paths), app.paths))


def _change_keys(app: App, request: Setup, shown: Sequence[SetupChange]) -> Done:
    """Without the app's lock, which a thief of the key may hold. What a killed deploy left is recovered at once."""
    if request.no_key and _is_another_app_at_work(app):
        deploy_key.revoke(app.host.paths, app.paths, request.no_key)
        shown = planned(app, request)
    _apply_rest(app, request, shown)
    if request.no_key:
        recover.recover_if_free(app)
    _sync_named(app)
    return _done(app, f"{app.name} is set up")


def _is_another_app_at_work(app: App) -> bool:
    """At what apps share, and the file of all deploy keys is part of that. Then only that file waits: this app's own
    footprint, which no other app's command writes, says at once that the key is revoked.
    """
    holder = lock.holder(app.host.paths.lock)
    return holder is not None and holder.who != app.name


@contextlib.contextmanager
def _fallback_renewed(app: App) -> Iterator[None]:
    """However setup ends: a standby that setup has drained, and has not stopped after all, stands in again. Not so
    where a command was interrupted: what it has started may not be healthy.
    """
    try:
        yield
    finally:
        with app.best_effort():
            if app.journal.unfinished() is None:
                renew_fallback(app, read_scene(app))


def planned(app: App, request: Setup) -> List[SetupChange]:
    """In the order in which they are applied. Planning changes nothing. Nothing stands in the way of a revocation."""
    if request.no_key and not request.key:
        return [*_key_changes(KeyIntent(app, footprint.load(app.paths), None, request.no_key))]
    switch.check_live_link(app)
    intent = _intent(app, request)
    certificate.check_is_possible(intent)
    parts = (
        (_PACKAGES, packages.changes(intent)),
        ("user", account.changes(intent)),
        ("teal", server_side.changes(intent)),
        ("unit", unit.changes(intent)),
        ("user", account.shut_out(intent.user)),
        ("certificate", tls_folder.changes(intent)),
        ("certificate", certificate.changes(intent)),
        ("nginx", route.changes(intent)),
        ("ports", ports.changes(intent)),
        ("names", _agreement(app, request, intent.agreed)),
        ("renewal", renewal.changes(intent)),
        (_ORDER, certificate.orders(intent)),
    )
    rest = [replace(change, part=part) for part, changes in parts for change in changes]
    return [*rest, *_key_changes(intent.of_keys)]


def _key_changes(intent: KeyIntent) -> Iterator[SetupChange]:
    return (replace(change, part=_OF_KEYS) for change in deploy_key.changes(intent))


def _intent(app: App, request: Setup) -> Intent:
    known = footprint.load(app.paths)
    key = DeployKey(request.key, request.may, request.principals) if request.key else None
    return Intent(app, _agreed(app, request), known, key, request.no_key)


def _plan(changes: Sequence[SetupChange]) -> Plan:
    return Plan(tuple(change.change for change in changes if not change.is_note))


def _install(app: App, request: Setup, shown: Sequence[SetupChange]) -> None:
    """Before the lock that apps share is taken: it can take minutes, and other apps go on deploying."""
    intent = _intent(app, request)
    for change in packages.changes(intent):
        if change.change not in _plan(shown).changes:
            raise _changed()
        _apply(app, replace(change, part=_PACKAGES))
    if any(packages.changes(intent)):  # a setup without nginx or sudo has ended
        app.warn(f"{ports.unprotected(intent)}: apt-get cannot install {packages.NFTABLES}")


def _drain(app: App, request: Setup) -> None:
    """Before the lock that apps share, too. No request comes to a standby, so once drained it stays so, unless what is
    live goes down meanwhile: until it is stopped the standby stands in, also where setup is killed here.
    """
    before = agreement.load(app.paths)
    for slot in _moving(app, before, _agreed(app, request)):
        with app.step("drain") as step, overtaking.possible():
            drain.wait_for_visitors(step, slot, cast(Agreement, before), request.spec.keep.drain_s)


def _apply_rest(app: App, request: Setup, shown: Sequence[SetupChange]) -> None:
    """Under the lock that apps share: with two setups at once, each would take the same ports."""
    with lock.shared(app.host.paths, app.name, "setup", overtaking.up_to(lock.SHARED_WAIT_S)):
        for change in _as_planned(app, request, shown):
            _apply(app, change)


def _as_planned(app: App, request: Setup, shown: Sequence[SetupChange]) -> List[SetupChange]:
    """What remains of the plan. Raises BadRequest when the server is no longer as it was for the plan.

    nginx could only be asked after it was installed, so then the plan said less than can be said now. Where apt-get
    could not install nft, no table is loaded.
    """
    changes, lacks_nft = planned(app, request), not nftables.is_installed()
    before, now = _plan(shown).changes, _plan(changes).changes
    was_installed = any(change.part == _PACKAGES for change in shown) and len(now) < len(before)
    if now != before and not was_installed:
        raise _changed()
    rest = (change for change in changes if not (change.is_note or change.part in (_PACKAGES, _ORDER)))
    return [change for change in rest if not (change.is_optional and lacks_nft)]


def _changed() -> BadRequest:
    return BadRequest("the server has changed since the plan was made; nothing was done", hint="teal setup again")


def _apply(app: App, change: SetupChange) -> None:
    with app.step(change.part) as step:
        step.detail = change.description
        change.do()


def _remove_unfinished(app: App) -> None:
    """What a killed setup has left."""
    for folder in app.paths.folders:
        files.remove_unfinished(folder)


def _sync_named(app: App) -> None:
    """A setup that was killed may have named a file whose directory it could not sync. The plan takes it for made."""
    own = footprint.load(app.paths)
    named = [*map(Path, own.files), *map(Path, own.made), app.host.paths.installed]
    above = {folder for path in named for folder in path.parents}
    files.sync_dirs([*app.paths.all_folders(), *sorted(above, key=lambda path: -len(path.parts))])


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
    for slot in _moving(app, before, agreed):
        text = f"stop the standby on {slot.color}, whose port changes"
        yield SetupChange(text, partial(_stop_standby, app, slot, cast(Agreement, before), request.spec.keep.drain_s))
    save = partial(agreement.save, app.paths, agreed)
    yield SetupChange(_description(before, agreed), save, unserves=_unserved(app, before, agreed))


def _stop_standby(app: App, slot: ColorPaths, before: Agreement, drain_s: float) -> None:
    """It is drained already, but for what it answers in the place of a live color that has just been down. That wait is
    short: other apps' deploys wait for it, and no rollback overtakes it.
    """
    switch.withdraw_fallback(app)
    with app.step("drain") as step:
        at_most_s = min(drain_s, _STAND_IN_S)
        drain.wait_for_stand_in(step, slot, before, at_most_s)
        drain.warn_of_cut(app, slot, before, at_most_s)
        drain.stop(step, slot)


def _moving(app: App, before: Optional[Agreement], agreed: Agreement) -> List[ColorPaths]:
    """The colors that run on a port that changes."""
    pairs = list(zip(before.pairs, agreed.pairs)) if before else []
    colors = [color for color in COLORS if any(was.of(color) != now.of(color) for was, now in pairs)]
    return [slot for slot in map(app.paths.color, colors) if app.host.supervisor.pids(slot)]


def _description(before: Optional[Agreement], agreed: Agreement) -> str:
    if before is None:
        return f"agree on {_site(agreed)}, {_ports(agreed)}" + (f", {_SOCKETS}" if agreed.sockets else "")
    pairs = ((_site(before), _site(agreed)), (_ports(before), _ports(agreed)))
    changed = [f"{now} instead of {was}" for was, now in pairs if was != now]
    rules = (
        *((before.proxy, agreed.proxy, "[proxy]"), (before.sandbox, agreed.sandbox, "[sandbox]")),
        *(
            (before.https, agreed.https, "[https]"),
            (before.site.redirects, agreed.site.redirects, "[server] redirects"),
        ),
    )
    changed += [f"{section} as in teal.toml" for was, now, section in rules if was != now]
    changed += ["what a deploy key may ask for, as in teal.toml"] if agreed.keys != before.keys else []
    changed += ["the standby answers where the live color does not"] if agreed.fallback != before.fallback else []
    changed += [_SOCKETS] if agreed.sockets and not before.sockets else []
    return f"agree anew: {'; '.join(changed)}"


def _site(agreed: Agreement) -> str:
    return f"{', '.join(agreed.site.domains) or 'the default site'} on port {agreed.site.http_port}"


def _ports(agreed: Agreement) -> str:
    return ", ".join(f"{color} on {' and '.join(str(pair.of(color)) for pair in agreed.pairs)}" for color in COLORS)


def _unserved(app: App, before: Optional[Agreement], agreed: Agreement) -> "tuple[str, ...]":
    """When no name of what is live would stay, this may be the teal.toml of another project with the same name."""
    names = before.site.domains if before and read_slots(app.paths).live else ()
    return () if set(names) & set(agreed.site.domains) else names


def _moves_later(app: App, request: Setup, agreed: Agreement) -> Iterator[SetupChange]:
    live, run = read_slots(app.paths).live, request.spec.run
    for wanted, pair in zip((run.ports, run.ports2), agreed.pairs):
        if live and wanted and wanted.of(live) != pair.of(live):
            text = f"{live} serves, so it stays on port {pair.of(live)}"
            yield note(f"{text}; it moves to {wanted.of(live)} with: teal deploy, then teal setup, then teal deploy")
