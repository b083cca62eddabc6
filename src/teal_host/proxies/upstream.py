"""Where a color takes requests: on a port of this machine, or on a unix socket in a directory of the color's own."""

from pathlib import Path
from typing import Dict, List, Protocol

from teal_host.ground import sockets
from teal_host.ground.http_probe import Address
from teal_host.ground.paths import ColorPaths
from teal_host.ground.sockets import Socket
from teal_host.wire.app import Ports
from teal_host.wire.values import dataclass

HERE = "127.0.0.1"


class Upstream(Protocol):
    """`values`: what stands for its placeholders. `address`: where a probe asks. `listens_on`: in words."""

    @property
    def values(self) -> Dict[str, str]: ...

    @property
    def address(self) -> Address: ...

    @property
    def listens_on(self) -> str: ...

    def is_named(self, address: str) -> bool:
        """Does nginx name this one so ($upstream_addr)?"""

    def listeners(self) -> List[Socket]: ...

    def is_met_at(self, listener: Socket) -> bool:
        """Does nginx meet this listener?"""

    def connections(self) -> int: ...


@dataclass(frozen=True)
class TcpPort:
    """An Upstream."""

    number: int

    @property
    def values(self) -> Dict[str, str]:
        return {"port": str(self.number)}

    @property
    def address(self) -> Address:
        return HERE, self.number

    @property
    def listens_on(self) -> str:
        return f"port {self.number}"

    def is_named(self, address: str) -> bool:
        return address.endswith(f":{self.number}")

    def listeners(self) -> List[Socket]:
        return sockets.listeners(self.number)

    def is_met_at(self, listener: Socket) -> bool:
        return listener.is_reached_at(HERE)

    def connections(self) -> int:
        return sockets.connections(self.number)


@dataclass(frozen=True)
class UnixSocket:
    """An Upstream."""

    path: Path

    @property
    def values(self) -> Dict[str, str]:
        return {"socket": str(self.path)}

    @property
    def address(self) -> Address:
        return str(self.path)

    @property
    def listens_on(self) -> str:
        return f"the socket {self.path}"

    def is_named(self, address: str) -> bool:
        return address.endswith(f"unix:{self.path}")

    def listeners(self) -> List[Socket]:
        return sockets.unix_listeners(self.path)

    def is_met_at(self, listener: Socket) -> bool:
        return listener.address == str(self.path)

    def connections(self) -> int:
        return sockets.unix_connections(self.path)


def of_color(slot: ColorPaths, ports: Ports, on_socket: bool) -> Upstream:
    return UnixSocket(slot.socket) if on_socket else TcpPort(ports.of(slot.color))


def now(slot: ColorPaths, ports: Ports) -> Upstream:
    """Where nginx asks this color."""
    return of_color(slot, ports, slot.listens_on_socket.exists())
