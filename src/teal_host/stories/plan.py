"""The story of `deploy --dry-run`: what a deploy would do, as data. It changes nothing and takes no lock."""

from dataclasses import replace
from typing import Tuple

from teal_host.proxies.upstream import of_color
from teal_host.state import releases, secrets
from teal_host.state.app import App
from teal_host.steps import idempotency, receive, release
from teal_host.steps.judgement import PATIENT
from teal_host.steps.scene import Scene, is_unchanged
from teal_host.stories import evict
from teal_host.wire.messages import Result
from teal_host.wire.requests import Deploy


def plan(app: App, request: Deploy, scene: Scene) -> Result:
    secrets.check(app.paths, request.spec)
    if not request.evict and is_unchanged(app, request, scene):
        result = idempotency.current_result(app, scene, "unchanged")
        return replace(result, plan=("nothing: it is live",))
    scene = evict.expected(scene) if request.evict else scene
    name = release.name(releases.next_seq(app.paths, scene.records), request.manifest)
    previous = scene.previous_release
    return Result("unchanged", name, scene.slots.idle, previous, "", _steps(app, request, scene, name))


def _steps(app: App, request: Deploy, scene: Scene, name: str) -> Tuple[str, ...]:
    spec, color = request.spec, scene.slots.idle
    proposed = app.host.provisioning.agreement_for(spec, color)
    app.host.provisioning.check_route(proposed, PATIENT.deadline_s)
    upstream = of_color(app.paths.color(color), proposed.ports, spec.run.on_socket)
    is_new = proposed != scene.agreement
    return (
        *([evict.PLAN] if request.evict else []),
        receive.estimate(request.manifest, receive.index_stored_files(scene)),
        f"seal the release {name}",
        f"start it on {color}, {upstream.listens_on}, and ask {spec.health.path}",
        "reload nginx once, for new names or ports" if is_new else "switch the link; no reload of nginx",
        f"watch it for {spec.keep.watch_s:g} s, keep {spec.keep.releases} releases",
    )
