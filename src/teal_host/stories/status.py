"""The stories of `teal status` and `teal releases`: which release is live, which stands by, and what is known of all.

They change nothing and wait for no other command.
"""

import contextlib
from typing import Dict, Iterator, List, Optional, Tuple

from teal_host.ground import lock
from teal_host.ground.errors import HostError
from teal_host.proxies import upstream
from teal_host.proxies.nginx.server import falls_back
from teal_host.state import releases, secrets
from teal_host.state.app import App
from teal_host.state.releases import Record
from teal_host.state.slots import Slots
from teal_host.steps import health, idempotency
from teal_host.steps.error_rate import fallback_report
from teal_host.steps.scene import Scene, read_scene
from teal_host.wire.grammar import COLORS, other_color
from teal_host.wire.reports import (
    Color,
    ColorReport,
    FallbackReport,
    ReleaseRow,
    ReleasesReport,
    StatusReport,
    UnreadableRow,
)


def status(app: App) -> StatusReport:
    """What is true now: read from the links and the processes, never from the journal."""
    scene = read_scene(app)
    colors = {color: _color(app, scene, color) for color in COLORS}
    return StatusReport(
        app.name,
        scene.slots.live,
        colors,
        scene.previous_release,
        app.host.proxy.url(scene.agreement.route(app.paths)) if scene.agreement else None,
        (
            *_notes_on_strangers(scene, colors),
            *_note_on_the_live_color(scene, colors),
            *_notes(app, scene),
            *_note_on_the_standby(app, scene, colors),
            *_note_on_secrets(app, scene),
            *(f"{entry.error().message}; see: teal releases" for entry in scene.unreadable),
        ),
        idempotency.last_story(app),
        _fallback(app, scene, colors),
    )


def list_releases(app: App) -> ReleasesReport:
    """Every release that is known, newest first."""
    scene = read_scene(app)
    rows = [_row(app, record, scene.slots) for record in scene.records]
    unreadable = [UnreadableRow(entry.release, str(entry.path), entry.why) for entry in scene.unreadable]
    return ReleasesReport(app.name, tuple(reversed(rows)), tuple(reversed(unreadable)))


def _color(app: App, scene: Scene, color: Color) -> ColorReport:
    release = scene.slots.releases[color]
    port, socket = _port_or_socket(app, scene, color)
    taken_by = _stranger(app, scene, color) if port or socket else None
    if release is None:
        return ColorReport(None, port, "empty", taken_by=taken_by, socket=socket)
    process = app.host.supervisor.state(app.paths.color(color))
    record = releases.find(scene.records, release)
    failed = record is not None and record.did_not_stay
    state = "failed" if process.state == "stopped" and failed else process.state
    restarts = app.host.supervisor.restarts(app.paths.color(color))
    return ColorReport(release, port, state, process.pid, process.since, restarts, taken_by, socket)


def _port_or_socket(app: App, scene: Scene, color: Color) -> Tuple[Optional[int], Optional[str]]:
    """Of what the color holds; an empty color has neither beside a socket."""
    slot, other = app.paths.color(color), app.paths.color(other_color(color))
    if slot.listens_on_socket.exists():
        return None, str(slot.socket)
    if scene.agreement is None or (slot.held is None and other.listens_on_socket.exists()):
        return None, None
    return scene.agreement.ports.of(color), None


def _stranger(app: App, scene: Scene, color: Color) -> Optional[str]:
    slot = app.paths.color(color)
    return health.stranger_on(app, slot, upstream.now(slot, scene.agreement.ports)) if scene.agreement else None


def _notes_on_strangers(scene: Scene, colors: Dict[Color, ColorReport]) -> Iterator[str]:
    for color, row in colors.items():
        if row.taken_by:
            means = "which is live" if color == scene.slots.live else "which is idle"
            where = f"the socket {row.socket}" if row.socket else f"port {row.port}"
            yield f"{where} of {color}, {means}, is held by {row.taken_by}, not by {color}; see: teal doctor"


def _note_on_the_live_color(scene: Scene, colors: Dict[Color, ColorReport]) -> Iterator[str]:
    live = scene.slots.live
    if live is None:
        return
    row = colors[live]
    if row.state != "running" and row.restarts:
        yield f"{live} is live but does not run; systemd tries again and again; {row.restarts}; see: teal doctor"
    elif row.state != "running":
        yield f"{live} is live but does not run: teal deploy, or teal rollback"
    elif row.restarts:
        yield f"{live} runs at the moment; {row.restarts}; see: teal logs --color {live}"


def _fallback(app: App, scene: Scene, colors: Dict[Color, ColorReport]) -> Optional[FallbackReport]:
    """The link stays when the standby ends, and has no effect where the user's own directives take its place."""
    if scene.agreement is None or not scene.agreement.fallback or scene.slots.live is None:
        return None
    idle, named = scene.slots.idle, False
    with contextlib.suppress(OSError):  # mostly there is no link where no color may stand in; a switch may just turn it
        named = app.paths.fallback.readlink().name == idle
    answers = named and colors[idle].state == "running" and falls_back(scene.agreement.route(app.paths))
    return fallback_report(idle if answers else None, app.host.proxy.fallback_log_of(app.name))


def _notes(app: App, scene: Scene) -> List[str]:
    """What a person should know beyond the picture."""
    slots, agreed, notes = scene.slots, scene.agreement, []
    try:
        if slots.live and agreed and not app.host.proxy.serves(agreed.route(app.paths)):
            notes.append(app.host.provisioning.hints.not_served)
    except HostError as problem:
        notes.append(problem.message)
    if app.journal.unfinished():
        at_work = lock.at_work(app.paths.lock)
        if at_work or app.journal.unfinished():  # it may have ended between the two questions
            notes.append(at_work or "a command was interrupted; the next deploy or rollback cleans up first")
    return notes


def _note_on_the_standby(app: App, scene: Scene, colors: Dict[Color, ColorReport]) -> Iterator[str]:
    """The standby was to go on running for an instant rollback. After a boot it is not started, and that is no news."""
    idle, previous = scene.slots.idle, scene.previous
    if previous is None or scene.slots.releases[idle] != previous.release:
        return
    process, restarts = app.host.supervisor.state(app.paths.color(idle)), colors[idle].restarts
    if restarts and process.state == "running":
        yield f"{idle} runs at the moment; {restarts}; see: teal logs --color {idle}"
    if process.state == "failed":
        why = f"{restarts}; systemd tries again and again" if restarts else process.end
        yield f"{idle} no longer stands by: {why}; a rollback starts {previous.release} again first"


def _note_on_secrets(app: App, scene: Scene) -> Iterator[str]:
    """Other secrets than the live release runs with. What cannot be read, a deploy reports."""
    live = scene.live
    with contextlib.suppress(HostError, OSError):
        if live and secrets.load(app.paths).current != live.secrets:
            yield f"teal env has changed since {live.release} was deployed; it takes effect with the next: teal deploy"


def _row(app: App, record: Record, slots: Slots) -> ReleaseRow:
    return ReleaseRow(
        record.release,
        record.seq,
        record.digest,
        record.bytes,
        record.at,
        record.outcome,
        record.origin,
        record.env,
        slots.color_of(record.release),
        record.release == slots.live_release,
        app.paths.release(record.release).is_dir(),
    )
