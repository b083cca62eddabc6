"""The names and ports of a deploy: reserved before the start, given back after a failure."""

from teal_host.ground import lock, overtaking
from teal_host.state import agreement
from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.steps.scene import Scene
from teal_host.wire.app import AppSpec


def reserve(app: App, spec: AppSpec, scene: Scene) -> Agreement:
    """Settle on ports and names with the other apps looked at once more, so that two new apps never get the same.

    The names of an app that is known already change only with its route, after the new color is healthy.
    """
    with lock.shared(app.host.paths, app.name, "reserve ports", overtaking.up_to(lock.SHARED_WAIT_S)):
        proposed = app.host.provisioning.agreement_for(spec, scene.slots.idle)
        reserved = proposed if scene.agreement is None else agreement.with_route_of(proposed, scene.agreement)
        if reserved != scene.agreement:
            agreement.save(app.paths, reserved)
        agreement.renew_format(app.paths, spec.run.on_socket)
    return proposed


def give_back(app: App, scene: Scene, now: Scene) -> None:
    """What was reserved for a release that did not stay is not remembered. `now`: the scene after it failed."""
    if scene.agreement in (None, now.agreement) or now.slots.live != scene.slots.live:
        return
    with lock.shared(app.host.paths, app.name, "give back ports"):
        agreement.save(app.paths, scene.agreement)
