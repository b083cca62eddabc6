"""What both kinds of provisioning share."""

from teal_host.ground import lock
from teal_host.ground.paths import AppPaths, HostPaths
from teal_host.state import agreement
from teal_host.state.seams import Proxy


class Base:
    def __init__(self, paths: HostPaths, proxy: Proxy) -> None:
        self._paths, self._proxy = paths, proxy

    def close_route(self, app: AppPaths) -> None:
        with lock.shared(self._paths, app.app, "close the route"):
            self._proxy.remove(app.app, agreement.neighbors(self._paths, app.app))
