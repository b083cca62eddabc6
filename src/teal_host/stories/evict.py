"""The story of `deploy --evict`, after a break-in: everything of the app ends before the mended release starts.

Both colors have one user, so what runs on one could read, write and end what starts on the other.
"""

from dataclasses import replace
from typing import Optional, Tuple

from teal_host.ground import files
from teal_host.ground.errors import HostError, as_host_error
from teal_host.state import releases, secrets
from teal_host.state.app import App
from teal_host.state.slots import Slots
from teal_host.steps import switch
from teal_host.steps.scene import Scene
from teal_host.supervisors.base import HURRIED_GRACE_S
from teal_host.wire.grammar import COLORS
from teal_host.wire.messages import Note

PLAN = "end everything of the app first: nothing is served until the new release is healthy, and nothing goes back"


def evict(app: App, mended: Optional[str]) -> None:
    """On return nothing of the app runs or is live, and no rollback goes to what was live, unless a person names it.

    The journal says first that this begins, so the next command repeats an eviction that was interrupted.
    """
    with app.step("stop") as step:
        step.detail = "all of the app; nothing is served until the new release is healthy"
        try:
            _end_all(app)
        except (HostError, OSError) as problem:
            error = as_host_error(problem)
            error.message = f"everything of the app was being ended, and the next command goes on: {error.message}"
            raise error from None
    names = known_secrets(app, mended)
    if names:
        commands = "; ".join(f"teal env set {name}" for name in names)
        app.tell(Note("warning", f"what ended knew these secrets; set each anew, then deploy: {commands}"))


def expected(scene: Scene) -> Scene:
    """As the mended release will find it."""
    return replace(scene, slots=Slots(None, dict.fromkeys(COLORS), scene.slots.first))


def known_secrets(app: App, mended: Optional[str]) -> Tuple[str, ...]:
    """Those that are as some other release had them, however that ended: the intruder may have come with any."""
    stored = secrets.load(app.paths)
    versions = {record.secrets for record in releases.load(app.paths) if record.release != mended}
    had = [stored.versions.get(version, {}) for version in versions]
    return tuple(name for name, value in sorted(stored.values.items()) if any(old.get(name) == value for old in had))


def _end_all(app: App) -> None:
    """First whatever could lead back, then the processes."""
    slots = app.paths.colors
    for record in releases.load(app.paths):
        if record.outcome == "live":
            releases.mark(app.paths, record, "superseded")
    switch.withdraw_fallback(app)
    files.remove(app.paths.live)
    app.host.supervisor.favor(None, slots)
    for slot in slots:
        app.host.supervisor.stop(slot, HURRIED_GRACE_S)
        files.remove(slot.release)
    app.host.provisioning.end_processes(app.paths)
