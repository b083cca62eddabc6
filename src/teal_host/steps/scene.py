"""What there is when a command begins: the colors, the records, the agreement. Read once, then handed on."""

from dataclasses import dataclass
from typing import List, Optional

from teal_host.state import agreement, releases
from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.state.releases import Record
from teal_host.state.slots import Slots, read_slots
from teal_host.steps import health, switch
from teal_host.steps.candidate import Candidate


@dataclass(frozen=True)
class Scene:
    """What there is before anything is changed."""

    slots: Slots
    records: List[Record]
    agreed: Optional[Agreement]

    @property
    def live(self) -> Optional[Record]:
        return releases.find(self.records, self.slots.live_release)


def load_scene(app: App) -> Scene:
    switch.check_live_link(app)
    return Scene(read_slots(app.paths), releases.load(app.paths), agreement.load(app.paths))


def live_is_well(app: App, scene: Scene) -> bool:
    """The live release runs, answers, and nginx asks it, though the marker that nginx looks for may have been lost."""
    standing, agreed = standby(app, scene), scene.agreed
    if standing is None or agreed is None or not app.host.proxy.serves(agreed.route(app.paths)):
        return False
    return health.probe(app, standing, 5.0).well and switch.is_verified(app, standing, agreed)


def standby(app: App, scene: Scene) -> Optional[Candidate]:
    """What is live now, as something to roll back to."""
    live, agreed = scene.live, scene.agreed
    if live is None or agreed is None or scene.slots.live is None:
        return None
    return Candidate(live, scene.slots.live, agreed.ports.of(scene.slots.live), app.paths)
