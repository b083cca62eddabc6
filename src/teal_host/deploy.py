"""The story of a deploy on this side: an artifact comes, becomes a release, is started, asked, and gets the traffic."""

from dataclasses import dataclass, replace
from typing import List, Optional

from teal_host import (
    agreement,
    environment,
    health,
    journal,
    lock,
    needs,
    outcome,
    prune,
    record,
    recover,
    release,
    slot,
    stock,
    switch,
    tally,
)
from teal_host.agreement import Agreement
from teal_host.app import App
from teal_host.bring_live import (
    Turn,
    as_far_as_possible,
    keep_or_stop_previous,
    start_and_check,
    turn_traffic,
    watch_over,
)
from teal_host.candidate import Candidate
from teal_host.errors import HostError, as_host_error
from teal_host.record import Record
from teal_host.slot import Slots
from teal_host.stock import Stock
from teal_host.talk import Talk
from teal_host.upload import Upload, sorted_out
from teal_host.wire.app import AppSpec
from teal_host.wire.manifest import Manifest
from teal_host.wire.messages import Deploy, Result


def deploy(app: App, request: Deploy, talk: Talk) -> Result:
    """Raises HostError; whatever it is, a healthy release serves as before."""
    app.host.proxy.refuse(request.spec.site)
    needs.refuse(app.paths, request.spec.run, request.needs)
    if request.dry_run:
        return planned(app, request, look(app))
    with lock.held(app.paths.lock, "deploy", request.origin, request.wait_s):
        recover.recover(app)
        before = outcome.repeated(app, request.id)
        if before:
            return before
        scene = look(app)
        environment.refuse(app.paths, request.spec)
        if unchanged(app, request, scene):
            return outcome.nothing_done(app, request.id)
        wanted(app, request.spec, scene)  # refuses before the upload, not after it
        sealed = take_in(app, request, scene, talk)
        await_commit(app, sealed, talk)
        return bring_live(app, request, scene, sealed)


def foresee(app: App, spec: AppSpec) -> None:
    """What speaks against a deploy whatever it will ship, while it is still being built. Raises HostError."""
    app.host.proxy.refuse(spec.site)
    environment.refuse(app.paths, spec)
    wanted(app, spec, look(app))


@dataclass(frozen=True)
class Scene:
    """What there is before anything is changed."""

    slots: Slots
    records: List[Record]
    agreed: Optional[Agreement]

    @property
    def live(self) -> Optional[Record]:
        return record.find(self.records, self.slots.live_release)


def look(app: App) -> Scene:
    switch.link_is_true(app)
    return Scene(slot.look(app.paths), record.load(app.paths), agreement.load(app.paths))


def unchanged(app: App, request: Deploy, scene: Scene) -> bool:
    """The same artifact, configuration and environment are live already, and well, and served."""
    live, agreed = scene.live, scene.agreed
    if live is None or live.digest != request.manifest.digest or live.spec != request.spec:
        return False
    if live.secrets != environment.load(app.paths).current:
        return False
    if agreed is None or (agreed.site, agreed.proxy) != (request.spec.site, request.spec.proxy):
        return False
    return live_is_well(app, scene)


def live_is_well(app: App, scene: Scene) -> bool:
    """The live release runs, answers, and nginx asks it, though the marker that nginx looks for may have been lost."""
    standing, agreed = standby(app, scene), scene.agreed
    if standing is None or agreed is None or not app.host.proxy.serves(agreed.route(app.paths)):
        return False
    return health.look(app, standing, 5.0).well and switch.is_proved(app, standing, agreed)


def standby(app: App, scene: Scene) -> Optional[Candidate]:
    """What is live now, as something to turn back to."""
    live, agreed = scene.live, scene.agreed
    if live is None or agreed is None or scene.slots.live is None:
        return None
    return Candidate(live, scene.slots.live, agreed.ports.of(scene.slots.live), app.paths)


def planned(app: App, request: Deploy, scene: Scene) -> Result:
    """What would be done, as data: nothing is changed, not even the lock."""
    environment.refuse(app.paths, request.spec)
    if unchanged(app, request, scene):
        return replace(
            outcome.told(app, "unchanged", scene.slots.live_release), outcome="planned", plan=("nothing: it is live",)
        )
    proposed = wanted(app, request.spec, scene)
    port = proposed.ports.of(scene.slots.idle)
    name = release.name(record.next_seq(app.paths, scene.records), request.manifest)
    steps = (
        to_upload(request.manifest, stocked(app, scene)),
        f"seal the release {name}",
        f"start it on {scene.slots.idle}, port {port}, and ask {request.spec.health.path}",
        "reload nginx once, for new names or ports"
        if proposed != scene.agreed
        else "turn the link; no reload of nginx",
        f"watch it for {request.spec.keep.watch_s:g} s, keep {request.spec.keep.releases} releases",
    )
    previous = record.good_before(scene.records, scene.slots.live_release, app.paths)
    return Result("planned", name, scene.slots.idle, previous.release if previous else None, "", steps)


def to_upload(manifest: Manifest, there: Stock) -> str:
    """An estimate: what is missing is compressed, and of what is here in another version only the change is sent."""
    files_ = [place for place, entry in enumerate(manifest.entries) if entry.kind == "file"]
    here, missing = sorted_out(files_, manifest, there)
    if not missing:
        return "upload nothing: all of it is here already"
    entries = [manifest.entries[place] for place in missing]
    changed = {base.path for base in there.bases(entries)}
    known = sum(entry.path in changed for entry in entries)
    told = f"upload {len(missing)} of {len(here) + len(missing)} files"
    whole = sum(entry.size for entry in entries if entry.path not in changed)
    return f"{told}: {known} as changes to what is here, {whole:,} bytes whole (before compression)"


def wanted(app: App, spec: AppSpec, scene: Scene) -> Agreement:
    """The names and ports of this deploy. Raises BadRequest when they do not fit, or are not what setup agreed."""
    if app.host.needs_setup:
        return agreement.of_setup(app.host.paths, spec, scene.slots.idle)
    return agreement.propose(app.host.paths, spec, scene.slots.idle)


def take_in(app: App, request: Deploy, scene: Scene, talk: Talk) -> Record:
    """Receive and seal. Nothing is kept of an upload that is not as promised; one that was cut goes on next time."""
    manifest = request.manifest
    name = release.name(record.next_seq(app.paths, scene.records), manifest)
    with app.step("upload") as step, release.Unfinished(app.paths, name, manifest) as unfinished:
        step.detail = Upload(manifest, stocked(app, scene), unfinished, talk, name).receive()
    stock.write_down(app.paths, name, manifest)
    seq = int(name.split("-")[0])
    kept = environment.load(app.paths)
    env = environment.word(kept, request.spec.run.env)
    sealed = Record(name, seq, manifest.digest, manifest.bytes, journal.now(), request.origin, env, request.spec)
    sealed = replace(sealed, secrets=kept.current)
    record.save(app.paths, sealed)
    return sealed


def stocked(app: App, scene: Scene) -> Stock:
    """The files that are here: those of the live release first, then of the others, the newest first."""
    others = [entry.release for entry in reversed(scene.records) if entry.release != scene.slots.live_release]
    stored = [name for name in others if app.paths.release(name).is_dir()]
    return stock.load(app.paths, [*([scene.slots.live_release] if scene.slots.live_release else []), *stored])


def await_commit(app: App, sealed: Record, talk: Talk) -> None:
    """A client that goes away before it said commit has changed nothing."""
    try:
        talk.await_commit()
    except HostError:
        record.remove(app.paths, sealed)
        release.remove(app.paths, sealed.release)
        raise


def bring_live(app: App, request: Deploy, scene: Scene, sealed: Record) -> Result:
    """From here on this side finishes alone."""
    app.journal.write("begin", request.id, what="deploy", release=sealed.release, left=scene.slots.live)
    color = scene.slots.idle
    turn: Optional[Turn] = None
    try:
        agreed = reserve(app, request, scene)
        candidate = Candidate(sealed, color, agreed.ports.of(color), app.paths)
        left = scene.slots.live
        turn = Turn(candidate, left, standby(app, scene), scene.agreed, agreed, request.id, fresh=True)
        with tally.begun(app, request.spec.keep.watch_s) as counted:
            start_and_check(app, turn)
            turn_traffic(app, turn)
            watch_over(app, turn, counted)
    except (HostError, OSError) as problem:
        error = as_host_error(problem)
        error.about(sealed.release, color, scene.slots.live_release)
        with as_far_as_possible(app):
            record.mark(app.paths, sealed, "turned_back" if error.code == "turned_back" else "refused")
            release_ports(app, scene)
            prune.prune(app, (scene.live.spec if scene.live else request.spec).keep.releases)
            outcome.end(app, request.id, error)
        if error.code == "unhealthy":
            with as_far_as_possible(app):
                error.evidence = (untouched(app, scene), *error.evidence)
        raise error from None
    with as_far_as_possible(app):
        record.mark(app.paths, sealed, "good")
        keep_or_stop_previous(app, turn)
        prune.prune(app, request.spec.keep.releases)
        outcome.end(app, request.id, outcome.told(app, "live", sealed.release))  # last: what is left, recover does
    return outcome.told(app, "live", sealed.release)


def untouched(app: App, scene: Scene) -> str:
    """What somebody whose deploy was refused wants to know first."""
    if scene.slots.live is None:
        return "traffic was never turned: nothing is live, as before"
    runs = app.host.supervisor.state(app.paths.color(scene.slots.live)).state == "running"
    serves = "goes on serving" if runs else "is live and does not run"
    return f"traffic was never turned: {scene.slots.live_release} on {scene.slots.live} {serves}"


def reserve(app: App, request: Deploy, scene: Scene) -> Agreement:
    """Settle on ports and names with the other apps looked at once more, so that two new apps never get the same.

    The names of an app that is known already change only with its route, after the new color is healthy.
    """
    with switch.shared(app, "reserve ports"):
        proposed = wanted(app, request.spec, scene)
        kept = proposed if scene.agreed is None else agreement.with_route_of(proposed, scene.agreed)
        if kept != scene.agreed:
            agreement.save(app.paths, kept)
    return proposed


def release_ports(app: App, scene: Scene) -> None:
    """What was reserved for a release that did not stay is not remembered."""
    if scene.agreed is None or slot.look(app.paths).live != scene.slots.live:
        return
    with switch.shared(app, "give back ports"):
        if agreement.load(app.paths) != scene.agreed:
            agreement.save(app.paths, scene.agreed)
