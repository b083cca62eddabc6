"""Look: who serves whom, what stands by, and which releases there are. Changes nothing and waits for nobody."""

import contextlib
from typing import Iterator, List, Optional

from teal_host.ground.errors import HostError
from teal_host.state import agreement, releases, secrets
from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.state.releases import Record
from teal_host.state.slots import Slots, all_colors, read_slots
from teal_host.steps import idempotency
from teal_host.wire.reports import Color, ColorReport, ReleaseRow, ReleasesReport, StatusReport, UnreadableRow


def status(app: App) -> StatusReport:
    """What is true now: read from the links and the processes, never from the journal."""
    slots, records, agreed = read_slots(app.paths), releases.load(app.paths), agreement.load(app.paths)
    reports = {color: _color(app, color, slots.releases[color], records) for color in all_colors()}
    previous = releases.find(records, releases.previous_name(app.paths, slots.live_release))
    return StatusReport(
        app.name,
        slots.live,
        reports,
        previous.release if previous else None,
        app.host.proxy.url(agreed.site) if agreed else None,
        (
            *_notes(app, slots, agreed),
            *_of_the_standby(app, slots, previous),
            *_of_the_environment(app, releases.find(records, slots.live_release)),
            *(f"{entry.error().message}; see: teal releases" for entry in releases.load_unreadable(app.paths)),
        ),
        idempotency.last_story(app),
    )


def list_releases(app: App) -> ReleasesReport:
    """Every release that is known, newest first."""
    slots = read_slots(app.paths)
    rows = [_row(app, entry, slots) for entry in releases.load(app.paths)]
    unreadable = [UnreadableRow(one.release, str(one.path), one.why) for one in releases.load_unreadable(app.paths)]
    return ReleasesReport(app.name, tuple(reversed(rows)), tuple(reversed(unreadable)))


def _color(app: App, color: Color, release: Optional[str], records: List[Record]) -> ColorReport:
    agreed = agreement.load(app.paths)
    port = agreed.ports.of(color) if agreed else None
    if release is None:
        return ColorReport(None, port, "empty")
    found = app.host.supervisor.state(app.paths.color(color))
    entry = releases.find(records, release)
    failed = entry is not None and entry.outcome in ("refused", "unhealthy", "rolled_back")
    state = "failed" if found.state == "stopped" and failed else found.state
    return ColorReport(release, port, state, found.pid, found.since)


def _notes(app: App, slots: Slots, agreed: Optional[Agreement]) -> List[str]:
    """What a person should know beyond the picture."""
    notes = []
    if slots.live and app.host.supervisor.state(app.paths.color(slots.live)).state != "running":
        notes.append(f"{slots.live} is live but does not run: teal deploy, or teal rollback")
    if slots.live and agreed and not app.host.proxy.serves(agreed.route(app.paths)):
        notes.append(app.host.provisioning.hints.not_served)
    if app.journal.unfinished():
        notes.append("a command is at work, or was interrupted; the next one cleans up")
    return notes


def _of_the_standby(app: App, slots: Slots, previous: Optional[Record]) -> Iterator[str]:
    """It was to go on running for an instant rollback. After a boot it is not started, and that is no news."""
    if previous is None or slots.releases[slots.idle] != previous.release:
        return
    found = app.host.supervisor.state(app.paths.color(slots.idle))
    if found.state == "failed":
        yield f"{slots.idle} stands by no more: {found.end}; a rollback starts {previous.release} again first"


def _of_the_environment(app: App, live: Optional[Record]) -> Iterator[str]:
    """Another state of `teal env` than the live release runs with; what cannot be read, a deploy tells of."""
    with contextlib.suppress(HostError, OSError):
        if live and secrets.load(app.paths).current != live.secrets:
            yield f"teal env has changed since {live.release} was deployed; it takes effect with the next: teal deploy"


def _row(app: App, entry: Record, slots: Slots) -> ReleaseRow:
    return ReleaseRow(
        entry.release,
        entry.seq,
        entry.digest,
        entry.bytes,
        entry.at,
        entry.outcome,
        entry.origin,
        entry.env,
        slots.color_of(entry.release),
        entry.release == slots.live_release,
        app.paths.release(entry.release).is_dir(),
    )
