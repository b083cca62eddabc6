"""Can somebody reach a color from outside, without nginx?"""

from typing import Callable, Iterator, List, Sequence

from teal_host.checks.base import Visit, ok
from teal_host.ground import sockets
from teal_host.ground.sockets import Socket
from teal_host.supervisors import port_limits
from teal_host.wire.grammar import COLORS
from teal_host.wire.reports import Color, Finding

_HINT = "let the program listen on HOST (127.0.0.1) only, in its code or in [run] command, then teal deploy"


def check(judge: Callable[..., Finding], visit: Visit) -> Iterator[Finding]:
    """`judge` makes an open port a fault, as on a server, or a warning. nftables may guard the ports of the colors."""
    findings: List[Finding] = []
    guarded = visit.agreed.every_port if port_limits.are_in_effect(visit.app.paths) else ()
    for color in COLORS:
        inodes = sockets.sockets_of(visit.pids(color))
        listening = [socket for socket in sockets.listeners() if socket.inode in inodes and socket.port not in guarded]
        findings += list(exposed(color, listening, judge))
    yield from findings or [ok("ports", "the colors are reached from this machine only")]


def exposed(color: Color, listening: Sequence[Socket], judge: Callable[..., Finding]) -> Iterator[Finding]:
    """`listening`: the sockets of this color's own processes."""
    outside = [socket for socket in listening if not _is_loopback(socket.address)]
    for port in sorted({socket.port for socket in outside}):
        addresses = ", ".join(sorted({socket.address for socket in outside if socket.port == port}))
        message = f"{color} listens on {addresses}, so clients may reach port {port} without nginx"
        yield judge("ports", message, _HINT)


def _is_loopback(address: str) -> bool:
    return address == "::1" or address.startswith(("127.", "::ffff:127."))
