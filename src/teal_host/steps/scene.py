"""The app as a command sees it: its colors, records and agreement. Read once, after recovery, and handed on.

Whoever needs the truth of after the switch reads a new scene, and says so. The link stays the truth.
"""

from dataclasses import dataclass, replace
from typing import List, Optional

from teal_host.ground.paths import AppPaths
from teal_host.state import agreement, releases, secrets
from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.state.releases import Record, UnreadableRecord
from teal_host.state.slots import Slots, read_slots
from teal_host.steps import health, switch
from teal_host.steps.candidate import Candidate
from teal_host.steps.judgement import PATIENT
from teal_host.wire.grammar import COLORS
from teal_host.wire.reports import Color
from teal_host.wire.requests import Deploy


@dataclass(frozen=True)
class Scene:
    paths: AppPaths
    slots: Slots
    records: List[Record]
    unreadable: List[UnreadableRecord]
    agreement: Optional[Agreement]

    @property
    def live(self) -> Optional[Record]:
        return releases.find(self.records, self.slots.live_release)

    @property
    def live_candidate(self) -> Optional[Candidate]:
        """The live release; None also where its record is damaged."""
        return self.candidate_on(self.slots.live) if self.slots.live else None

    @property
    def previous(self) -> Optional[Record]:
        """Where a rollback without a name goes; None also where a record on the way cannot be read."""
        return releases.find(self.records, releases.previous_name(self.paths, self.slots.live_release))

    @property
    def previous_release(self) -> Optional[str]:
        """Its name. The disk is asked once: a second answer may be another one."""
        record = self.previous
        return record.release if record else None

    def candidate_on(self, color: Color) -> Optional[Candidate]:
        record = releases.find(self.records, self.slots.releases[color])
        if record is None or self.agreement is None:
            return None
        return Candidate(record, color, self.agreement.pairs, self.paths, self.agreement.scheme)


def read_scene(app: App) -> Scene:
    """The links first: what a color holds has its record. Raises NeedsHuman where link or agreement cannot be read."""
    slots = read_slots(app.paths)
    records, unreadable = releases.load(app.paths), releases.load_unreadable(app.paths)
    slots = replace(slots, first=_first(records, unreadable))
    return Scene(app.paths, slots, records, unreadable, agreement.load(app.paths))


def _first(records: List[Record], unreadable: List[UnreadableRecord]) -> Color:
    """Once a release has been live, nginx serves the app's route. Without a link nginx asks the first color, and no
    visitor may come to a release that is not healthy yet: so it starts on the other one.
    """
    were_live = any(record.outcome in ("live", "superseded", "rolled_back") for record in records)
    return COLORS[-1 if were_live or unreadable else 0]


def load_scene(app: App) -> Scene:
    """For a command that changes the app. Raises NeedsHuman also where the live color holds no release."""
    switch.check_live_link(app)
    return read_scene(app)


def renew_fallback(app: App, scene: Scene) -> None:
    """Between two commands the idle color stands in for the live one, if it may."""
    switch.offer_fallback(app, scene.candidate_on(scene.slots.idle), scene.live.spec.keep if scene.live else None)


def live_is_well(app: App, scene: Scene) -> bool:
    """The live release runs and answers, and nginx asks it; the marker that nginx tests for may have been lost."""
    live, agreed = scene.live_candidate, scene.agreement
    if live is None or agreed is None or not switch.judge_route(app.host.proxy, agreed.route(app.paths)).well:
        return False
    return health.judge_release(app, live, PATIENT).well and switch.is_verified(app, live, agreed)


def is_unchanged(app: App, request: Deploy, scene: Scene) -> bool:
    """The same artifact, configuration and secrets are live already, and well, and served."""
    live, agreed = scene.live, scene.agreement
    if live is None or live.digest != request.manifest.digest or live.spec != request.spec:
        return False
    if live.secrets != secrets.load(app.paths).current:
        return False
    if agreed is None or (agreed.site, agreed.proxy) != (request.spec.site, request.spec.proxy):
        return False
    return live_is_well(app, scene)
