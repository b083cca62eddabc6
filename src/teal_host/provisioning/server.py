"""A server: setup agrees and opens the route. A deploy keeps to it, so a deploy key changes no name and no sandbox.

Only setup, destroy and the doctor need the modules that are imported inside functions; no deploy waits for them.
"""

from functools import partial
from pathlib import Path
from typing import Sequence

from teal_host.ground import files, lock, overtaking
from teal_host.ground.errors import BadRequest
from teal_host.ground.paths import AppPaths
from teal_host.provisioning.base import Base
from teal_host.state import agreement
from teal_host.state.agreement import Agreement
from teal_host.state.seams import Check, Hints
from teal_host.steps.switch import NotKnown, NotVerified, judge_route
from teal_host.wire.app import AppSpec
from teal_host.wire.reports import Color, Finding

_NOT_SERVED_HINT = "teal doctor"


class ServerProvisioning(Base):
    """A Provisioning."""

    hints = Hints(
        not_served="nginx does not serve this app as agreed: teal doctor",
        memory="; should they run out, it is the new one that is ended (see: teal doctor)",
    )

    def check_setup_is_possible(self) -> None:
        """It always is."""

    def check_is_set_up(self, app: AppPaths) -> None:
        if not app.agreed.exists():
            raise _not_set_up(app.app)

    def agreement_for(self, spec: AppSpec, color: Color) -> Agreement:
        mine = agreement.load(self._paths.app(spec.app))
        if mine is None:
            raise _not_set_up(spec.app)
        changed = agreement.differences(spec, mine, color)
        if changed:
            message = f"teal.toml is not as agreed with this server: {', '.join(changed)}"
            both = [f"{name}: {values}" for name, values in changed.items()]
            raise BadRequest(message, both, "teal setup (it shows what changes), then teal deploy")
        return mine

    def check_route(self, agreed: Agreement, within_s: float) -> None:
        judgement = judge_route(self._proxy, agreed.route(self._paths.app(agreed.app)), within_s)
        if judgement.verdict == "unknown":
            raise NotKnown(judgement.reason, hint=_NOT_SERVED_HINT)
        if judgement.verdict == "sick":
            self._check_not_edited(agreed.app)
            raise BadRequest(judgement.reason, hint=_NOT_SERVED_HINT)

    def _check_not_edited(self, app: str) -> None:
        """Raises BadRequest if a hand has put HTTPS into the app's file. Teal's own HTTPS is no reason: nginx has not
        loaded that file, or another site has taken the names.
        """
        from teal_host.preparations.change import digest
        from teal_host.proxies.nginx import https_by_hand
        from teal_host.state import footprint

        known = footprint.load(self._paths.app(app))
        text = files.text_of(Path(known.nginx)) if known.nginx else None
        if known.nginx and text and not known.wrote(Path(known.nginx), digest(text)):
            https_by_hand.check_answers(known.nginx, text)

    def open_route(self, agreed: Agreement) -> None:
        """Setup opened it; a deploy only checks. Where nginx gives no answer, the verification after it decides."""
        self._proxy.check_site(agreed.site)
        with overtaking.possible():
            judgement = judge_route(self._proxy, agreed.route(self._paths.app(agreed.app)))
        if judgement.verdict == "sick":
            raise NotVerified(judgement.reason, hint=_NOT_SERVED_HINT)

    def restore_route(self, agreed: Agreement) -> None:
        """No deploy has changed it."""

    def withdraw_route(self, app: AppPaths) -> None:
        """It stays until `teal destroy`."""

    def checks(self) -> Sequence[Check]:
        from teal_host.checks import agreed, base, colors, exposed, history, keys, machine, nginx, owner, room, route
        from teal_host.checks import ports as port_checks
        from teal_host.checks import systemd as systemd_itself

        return (
            Check("live", colors.check),
            Check("listeners", port_checks.check_listeners),
            Check("boot", colors.check_boot),
            Check("route", route.check_way),
            Check("nginx", nginx.check),
            Check("nginx file", route.check_file),
            Check("setup", agreed.check),
            Check("systemd", systemd_itself.check),
            Check("user", owner.check),
            Check("deploy keys", keys.check),
            Check("ports", partial(exposed.check, base.fault)),
            Check("port rules", port_checks.check_limits),
            Check("commands", history.check),
            Check("disk and memory", room.check),
            Check("machine", machine.check),
        )

    def without_agreement(self, app: str) -> Finding:
        error = _not_set_up(app)
        return Finding("setup", "fault", error.message, error.hint)

    def undo(self, app: AppPaths) -> None:
        from teal_host.preparations import undo

        with lock.shared(self._paths, app.app, "destroy"):  # the file of all deploy keys is among it
            undo.undo(self._paths, app)

    def owns_data(self, app: AppPaths) -> bool:
        """Somebody else's may have come since setup looked."""
        from teal_host.preparations import account
        from teal_host.state import footprint

        return not account.is_foreign(app.data, footprint.load(app), agreement.user_name(app.app))

    def end_processes(self, app: AppPaths) -> None:
        from teal_host.preparations import account
        from teal_host.supervisors import one_off

        one_off.end_all(app.app)
        account.end_app(agreement.user_name(app.app))

    def remove_user(self, app: AppPaths) -> None:
        from teal_host.preparations import account

        account.remove_user(agreement.user_name(app.app))

    def remove_server_side(self) -> None:
        from teal_host.preparations import undo

        undo.undo_server_side(self._paths)


def _not_set_up(app: str) -> BadRequest:
    return BadRequest(f"this server is not set up for {app}", hint="teal setup")
