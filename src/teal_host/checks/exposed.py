"""Can a color be reached from outside, past nginx?"""

from typing import Callable, Iterator, Sequence

from teal_host.checks.base import Visit, ok
from teal_host.ground import sockets
from teal_host.ground.sockets import Socket
from teal_host.state.slots import all_colors
from teal_host.wire.reports import Color, Finding

_HINT = "let it listen on HOST (127.0.0.1) only, in its code or in [run] command, then teal deploy"


def check(judge: Callable[..., Finding], visit: Visit) -> Iterator[Finding]:
    """`judge`: whether an open port is a fault, as on a server, or a warning."""
    open_ones = []
    for color in all_colors():
        ours = sockets.sockets_of(visit.pids(color))
        mine = [socket for socket in sockets.listeners() if socket.inode in ours]
        open_ones += list(exposed(color, mine, judge))
    yield from open_ones or [ok("ports", "the colors listen on this machine only")]


def exposed(color: Color, listening: Sequence[Socket], judge: Callable[..., Finding]) -> Iterator[Finding]:
    """Of the sockets of one color's own processes."""
    for port in sorted({socket.port for socket in listening if not _loopback(socket.address)}):
        told = ", ".join(sorted({one.address for one in listening if one.port == port and not _loopback(one.address)}))
        yield judge("ports", f"{color} listens on {told}, so port {port} may be reached without nginx", _HINT)


def _loopback(address: str) -> bool:
    return address == "::1" or address.startswith(("127.", "::ffff:127."))
