"""The story of a deploy on this side: an artifact comes, becomes a release, is started, asked, and gets the traffic."""

from dataclasses import replace
from typing import Optional

from teal_host.ground import journal, lock
from teal_host.ground.errors import HostError, as_host_error
from teal_host.pipe.channel import Channel
from teal_host.state import agreement, file_index, releases, secrets
from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.state.file_index import FileIndex
from teal_host.state.releases import Record
from teal_host.state.slots import read_slots
from teal_host.steps import error_rate, idempotency, prune, release, requirements
from teal_host.steps.candidate import Candidate
from teal_host.steps.cutover import (
    Cutover,
    best_effort,
    keep_or_stop_previous,
    start_and_check,
    switch_traffic,
    watch_and_roll_back,
)
from teal_host.steps.receive import Upload, sorted_out
from teal_host.steps.scene import Scene, live_is_well, load_scene, standby
from teal_host.stories import recover
from teal_host.wire.app import AppSpec
from teal_host.wire.manifest import Manifest
from teal_host.wire.messages import Deploy, Result


def deploy(app: App, request: Deploy, channel: Channel) -> Result:
    """Raises HostError; whatever it is, a healthy release serves as before."""
    app.host.proxy.check_site(request.spec.site)
    requirements.check(app.paths, request.spec.run, request.needs)
    if request.dry_run:
        return planned(app, request, load_scene(app))
    with lock.held(app.paths.lock, "deploy", request.origin, request.wait_s):
        recover.recover(app)
        before = idempotency.recorded_result(app, request.id)
        if before:
            return before
        scene = load_scene(app)
        secrets.check(app.paths, request.spec)
        if unchanged(app, request, scene):
            return idempotency.record_unchanged(app, request.id)
        app.host.provisioning.agreement_for(request.spec, scene.slots.idle)  # refuses before the upload, not after it
        sealed = receive_release(app, request, scene, channel)
        await_commit(app, sealed, channel)
        return make_live(app, request, scene, sealed)


def check_before_build(app: App, spec: AppSpec) -> None:
    """What speaks against a deploy whatever it will ship, while it is still being built. Raises HostError."""
    app.host.proxy.check_site(spec.site)
    secrets.check(app.paths, spec)
    app.host.provisioning.agreement_for(spec, load_scene(app).slots.idle)


def unchanged(app: App, request: Deploy, scene: Scene) -> bool:
    """The same artifact, configuration and environment are live already, and well, and served."""
    live, agreed = scene.live, scene.agreed
    if live is None or live.digest != request.manifest.digest or live.spec != request.spec:
        return False
    if live.secrets != secrets.load(app.paths).current:
        return False
    if agreed is None or (agreed.site, agreed.proxy) != (request.spec.site, request.spec.proxy):
        return False
    return live_is_well(app, scene)


def planned(app: App, request: Deploy, scene: Scene) -> Result:
    """What would be done, as data: nothing is changed, not even the lock."""
    secrets.check(app.paths, request.spec)
    if unchanged(app, request, scene):
        result = idempotency.current_result(app, "unchanged", scene.slots.live_release)
        return replace(result, plan=("nothing: it is live",))
    proposed = app.host.provisioning.agreement_for(request.spec, scene.slots.idle)
    port = proposed.ports.of(scene.slots.idle)
    name = release.name(releases.next_seq(app.paths, scene.records), request.manifest)
    steps = (
        to_upload(request.manifest, index_stored_files(app, scene)),
        f"seal the release {name}",
        f"start it on {scene.slots.idle}, port {port}, and ask {request.spec.health.path}",
        "reload nginx once, for new names or ports"
        if proposed != scene.agreed
        else "turn the link; no reload of nginx",
        f"watch it for {request.spec.keep.watch_s:g} s, keep {request.spec.keep.releases} releases",
    )
    previous = releases.previous_name(app.paths, scene.slots.live_release)
    return Result("unchanged", name, scene.slots.idle, previous, "", steps)


def to_upload(manifest: Manifest, there: FileIndex) -> str:
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


def receive_release(app: App, request: Deploy, scene: Scene, channel: Channel) -> Record:
    """Receive and seal. Nothing is kept of an upload that is not as promised; one that was cut goes on next time."""
    manifest = request.manifest
    name = release.name(releases.next_seq(app.paths, scene.records), manifest)
    with app.step("upload") as step, release.Unfinished(app.paths, name, manifest) as unfinished:
        step.detail = Upload(manifest, index_stored_files(app, scene), unfinished, channel, name).receive()
    file_index.save(app.paths, name, manifest)
    seq = int(name.split("-")[0])
    kept = secrets.load(app.paths)
    env = secrets.environment_version(kept, request.spec.run.env)
    sealed = Record(name, seq, manifest.digest, manifest.bytes, journal.now(), request.origin, env, request.spec)
    sealed = replace(sealed, secrets=kept.current)
    releases.save(app.paths, sealed)
    return sealed


def index_stored_files(app: App, scene: Scene) -> FileIndex:
    """The files that are here: those of the live release first, then of the others, the newest first."""
    others = [entry.release for entry in reversed(scene.records) if entry.release != scene.slots.live_release]
    stored = [name for name in others if app.paths.release(name).is_dir()]
    return file_index.load(app.paths, [*([scene.slots.live_release] if scene.slots.live_release else []), *stored])


def await_commit(app: App, sealed: Record, channel: Channel) -> None:
    """A client that goes away before it said commit has changed nothing."""
    try:
        channel.await_commit()
    except HostError:
        releases.remove(app.paths, sealed)
        release.remove(app.paths, sealed.release)
        raise


def make_live(app: App, request: Deploy, scene: Scene, sealed: Record) -> Result:
    """From here on this side finishes alone."""
    app.journal.write("begin", request.id, what="deploy", release=sealed.release, left=scene.slots.live)
    color = scene.slots.idle
    cutover: Optional[Cutover] = None
    try:
        agreed = reserve(app, request, scene)
        candidate = Candidate(sealed, color, agreed.ports.of(color), app.paths)
        left = scene.slots.live
        cutover = Cutover(candidate, left, standby(app, scene), scene.agreed, agreed, request.id, started_here=True)
        with error_rate.counting(app, request.spec.keep.watch_s) as counted:
            start_and_check(app, cutover)
            switch_traffic(app, cutover)
            watch_and_roll_back(app, cutover, counted)
    except (HostError, OSError) as problem:
        error = as_host_error(problem)
        error.about(sealed.release, color, scene.slots.live_release)
        with best_effort(app):
            releases.mark(app.paths, sealed, error.outcome)
            give_back_ports(app, scene)
            prune.prune(app, (scene.live.spec if scene.live else request.spec).keep.releases)
            idempotency.record_end(app, request.id, error)
        if error.code == "unhealthy":
            with best_effort(app):
                error.evidence = (describe_traffic(app, scene), *error.evidence)
        raise error from None
    with best_effort(app):
        releases.mark(app.paths, sealed, "live")
        keep_or_stop_previous(app, cutover)
        prune.prune(app, request.spec.keep.releases)
        idempotency.record_end(
            app, request.id, idempotency.current_result(app, "live", sealed.release)
        )  # last: what is left, recover does
    return idempotency.current_result(app, "live", sealed.release)


def describe_traffic(app: App, scene: Scene) -> str:
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
    with lock.shared(app.host.paths, app.name, "reserve ports"):
        proposed = app.host.provisioning.agreement_for(request.spec, scene.slots.idle)
        kept = proposed if scene.agreed is None else agreement.with_route_of(proposed, scene.agreed)
        if kept != scene.agreed:
            agreement.save(app.paths, kept)
    return proposed


def give_back_ports(app: App, scene: Scene) -> None:
    """What was reserved for a release that did not stay is not remembered."""
    if scene.agreed is None or read_slots(app.paths).live != scene.slots.live:
        return
    with lock.shared(app.host.paths, app.name, "give back ports"):
        if agreement.load(app.paths) != scene.agreed:
            agreement.save(app.paths, scene.agreed)
