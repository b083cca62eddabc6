"""A user's own machine: a deploy agrees on names and ports and opens the route."""

from dataclasses import replace
from functools import partial
from typing import Sequence

from teal_host.ground import lock, overtaking
from teal_host.ground.errors import BadRequest
from teal_host.ground.lock import Wait
from teal_host.ground.paths import AppPaths
from teal_host.provisioning.base import Base
from teal_host.state import agreement
from teal_host.state.agreement import Agreement
from teal_host.state.seams import Check, Hints
from teal_host.wire.app import AppSpec
from teal_host.wire.reports import Color, Finding


class LocalProvisioning(Base):
    """A Provisioning."""

    hints = Hints(not_served="nginx does not serve this app now: teal deploy")

    def check_setup_is_possible(self) -> None:
        raise BadRequest('this machine needs no setup for target = "local"', hint="teal deploy")

    def check_is_set_up(self, app: AppPaths) -> None:
        """The first deploy agrees on everything."""

    def agreement_for(self, spec: AppSpec, color: Color) -> Agreement:
        """With the way to sockets, used or not. After a reload nginx's workers of before keep their connections for a
        while, and such a worker would ask the port of a color that is the first on a socket.
        """
        proposed = agreement.propose(self._paths, spec, color)
        return replace(proposed, sockets=agreement.socket_refusal(self._paths.app(spec.app)) is None)

    def check_route(self, agreed: Agreement, within_s: float) -> None:
        """A deploy opens the route, after a candidate has taken the place of the standby: so nginx tries it first."""
        route = agreed.route(self._paths.app(agreed.app))
        self._proxy.try_route(route, agreement.neighbors(self._paths, agreed.app))

    def open_route(self, agreed: Agreement) -> None:
        """An ordinary deploy changes and reloads nothing."""
        self._open(agreed, overtaking.up_to(lock.SHARED_WAIT_S))

    def _open(self, agreed: Agreement, wait: Wait) -> None:
        app = self._paths.app(agreed.app)
        with lock.shared(self._paths, agreed.app, "open the route", wait):
            if agreement.load(app) != agreed:
                agreement.save(app, agreed)
            self._proxy.serve(agreed.route(app), agreement.neighbors(self._paths, agreed.app))

    def restore_route(self, agreed: Agreement) -> None:
        self._open(agreed, lock.SHARED_WAIT_S)

    def withdraw_route(self, app: AppPaths) -> None:
        self.close_route(app)

    def checks(self) -> Sequence[Check]:
        from teal_host.checks import agreed, base, colors, exposed, history, local_nginx, machine, ports, room, route

        return (
            Check("live", colors.check),
            Check("listeners", ports.check_listeners),
            Check("route", route.check_answer),
            Check("nginx", local_nginx.check),
            Check("teal.toml", agreed.check_local),
            Check("ports", partial(exposed.check, base.warning)),
            Check("commands", history.check),
            Check("disk and memory", room.check),
            Check("machine", machine.check),
        )

    def without_agreement(self, app: str) -> Finding:
        return Finding("setup", "ok", "nothing is deployed here yet: teal deploy")

    def undo(self, app: AppPaths) -> None:
        """Nothing is outside the app's own directories."""

    def owns_data(self, app: AppPaths) -> bool:
        """The whole root is the user's own."""
        return True

    def end_processes(self, app: AppPaths) -> None:
        """The user is whoever deploys; the supervisor has ended what is the app's."""

    def remove_user(self, app: AppPaths) -> None:
        """The program runs as whoever deploys."""

    def remove_server_side(self) -> None:
        """None is installed."""
