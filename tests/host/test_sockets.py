"""What the kernel says of sockets: who listens where, and whether a client is connected."""

import os
import socket

import pytest

from harness.world import free_ports
from teal_host.ground import sockets
from teal_host.ground.errors import BadRequest
from teal_host.ground.sockets import Listeners, Socket
from teal_host.proxies.nginx import listeners

OWN = os.getpid()


def test_listeners_have_connections_when_a_client_is_connected_to_one_of_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (own,) = (one for one in sockets.listeners_of(OWN).tcp if one.port == server.getsockname()[1])
        assert not Listeners((own,), (), False).have_connections()
        with socket.create_connection(server.getsockname()):
            assert Listeners((own,), (), False).have_connections()


@pytest.mark.parametrize(
    ("address", "other", "counts"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.2", "127.0.0.1", False),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "::", False),
        ("::1", "::", True),
        ("::1", "::1", True),
        ("::1", "0.0.0.0", False),
    ],
)
def test_connection_counts_for_the_listener_that_accepted_it(address: str, other: str, counts: bool) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as server:
        port = server.getsockname()[1]
        with socket.create_connection((address, port)):
            assert Listeners((Socket(other, port, 0),), (), False).have_connections() == counts


def test_ipv4_connection_counts_for_an_ipv6_listener_that_takes_both() -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert Listeners((Socket("::", port, 0),), (), False).have_connections()


def test_udp_listener_leaves_it_open_whether_a_client_is_connected_and_a_udp_client_does_not() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as quic,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as log,
    ):
        log.connect(("127.0.0.1", 9))
        assert not sockets.listeners_of(OWN).takes_udp
        quic.bind(("127.0.0.1", 0))
        assert sockets.listeners_of(OWN).takes_udp


@pytest.mark.parametrize(
    ("taken", "listen", "is_free"),
    [
        ("127.0.0.1", "127.0.0.1:{port}", False),
        ("127.0.0.2", "127.0.0.1:{port}", True),
        ("127.0.0.2", "{port}", False),
        ("127.0.0.2", "[::]:{port}", True),
        ("0.0.0.0", "127.0.0.1:{port}", False),
        ("::1", "{port}", True),
        ("::1", "[::]:{port}", False),
        ("::", "{port}", False),
    ],
)
def test_port_is_free_when_no_stranger_listens_at_the_same_address(taken: str, listen: str, is_free: bool) -> None:
    (port,) = free_ports(1)
    family = socket.AF_INET6 if ":" in taken else socket.AF_INET
    with socket.create_server((taken, port), family=family):
        mine = {one.inode for one in sockets.listeners(port)}
        listeners.check_is_free([listen.format(port=port)], mine, "")
        if is_free:
            listeners.check_is_free([listen.format(port=port)], set(), "")
        else:
            with pytest.raises(BadRequest, match=f"port {port} is taken by python"):
                listeners.check_is_free([listen.format(port=port)], set(), "")
