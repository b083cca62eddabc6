"""The story of `deploy --evict`, after a break-in: everything of the app ends before the mended release starts.

Both colors have one user, so what runs on one could read, write and end what starts on the other.
"""

from typing import Tuple

from teal_host.ground import files
from teal_host.state import releases, secrets
from teal_host.state.app import App
from teal_host.state.slots import all_colors
from teal_host.steps import switch
from teal_host.steps.scene import Scene
from teal_host.supervisors.base import HURRIED_GRACE_S
from teal_host.wire.messages import Note

PLAN = "end everything of the app first: nothing is served until the new release is healthy, and nothing goes back"


def evict(app: App, scene: Scene) -> Tuple[str, ...]:
    """On return nothing of the app runs or is live, and no rollback goes to what was live, unless a person names it.

    Gives the secrets that the ended program had. Can be repeated.
    """
    names = _known_secrets(app, scene)
    slots = [app.paths.color(color) for color in all_colors()]
    with app.step("stop") as step:
        step.detail = "all of the app; nothing is served until the new release is healthy"
        app.host.supervisor.favor(None, slots)
        switch.withdraw_fallback(app)
        files.remove(app.paths.live)
        for slot in slots:
            app.host.supervisor.stop(slot, HURRIED_GRACE_S)
            files.remove(slot.release)
        app.host.provisioning.end_processes(app.paths)
        for record in scene.records:
            if record.outcome == "live":
                releases.mark(app.paths, record, "superseded")
    if names:
        commands = "; ".join(f"teal env set {name}" for name in names)
        app.tell(Note("warning", f"what ended knew these secrets; set each anew, then deploy: {commands}"))
    return names


def _known_secrets(app: App, scene: Scene) -> Tuple[str, ...]:
    """Those that are as some stored release had them: the intruder may have come with any."""
    stored = secrets.load(app.paths)
    versions = {record.secrets for record in scene.records if record.outcome in ("live", "superseded")}
    had = [stored.versions.get(version, {}) for version in versions]
    return tuple(name for name, value in sorted(stored.values.items()) if any(old.get(name) == value for old in had))
