"""What the kernel says about sockets: which process listens where, and whether a client is connected."""

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from harness.world import free_ports
from teal_host.ground import sock_diag, sockets
from teal_host.ground.errors import BadRequest
from teal_host.ground.sockets import Listeners, Socket
from teal_host.proxies.nginx import listeners

OWN = os.getpid()


@pytest.fixture(params=["sock_diag", "tables"])
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The source of the answers: some kernels have no sock_diag."""
    if request.param == "tables":
        monkeypatch.setattr(sock_diag, "tcp", _unknown)
    return str(request.param)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Socket]:
    """Every Socket object that the code makes."""
    made: list[Socket] = []

    def build(address: str, port: int, inode: int) -> Socket:
        made.append(Socket(address, port, inode))
        return made[-1]

    monkeypatch.setattr(sockets, "Socket", build)
    return made


def _unknown(state: int, port: int = 0) -> Iterator[sock_diag.Row]:
    raise OSError(errno.ENOENT, "no sock_diag")


def test_look_makes_no_object_of_the_many_sockets_that_nobody_asked_for(source: str, built: list[Socket]) -> None:
    busy_port, quiet_port = free_ports(2)  # of no client's range: a client of another program may have the same port
    with ExitStack() as open_:
        busy = open_.enter_context(socket.create_server(("127.0.0.1", busy_port), backlog=200))
        quiet = open_.enter_context(socket.create_server(("127.0.0.1", quiet_port)))
        for _ in range(200):
            open_.enter_context(socket.create_connection(busy.getsockname()))
            open_.enter_context(busy.accept()[0])
        (own,) = sockets.listeners(quiet.getsockname()[1])
        assert not Listeners((own,), (), False).have_connections()
        assert sockets.held({own.inode}, [OWN]) == {own.inode}
        assert len(built) == 1
        (own,) = sockets.listeners(busy.getsockname()[1])
        assert Listeners((own,), (), False).have_connections()
        assert len(built) == 3, "the first connection decides"
        assert sockets.connections(busy.getsockname()[1]) == 200


def test_kernel_and_tables_tell_the_same_of_every_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    *ports, client_port = free_ports(4)
    with (
        socket.create_server(("127.0.0.3", ports[0])),
        socket.create_server(("::1", ports[1]), family=socket.AF_INET6),
        socket.create_server(("::", ports[2]), family=socket.AF_INET6, dualstack_ipv6=True),
        socket.create_connection(("127.0.0.1", ports[2]), source_address=("127.0.0.1", client_port)),
    ):
        rows_of_kernel = [sockets.listeners(port) for port in ports]
        connected = list(sock_diag.tcp(sock_diag.ESTABLISHED, ports[2]))
        assert sockets.connections(client_port) == 1
        monkeypatch.setattr(sock_diag, "tcp", _unknown)
        assert [sockets.listeners(port) for port in ports] == rows_of_kernel
        assert [row.address for (row,) in rows_of_kernel] == ["127.0.0.3", "::1", "::"]
        assert [row.address for row in connected] == ["::ffff:127.0.0.1"]
        assert sockets.connections(ports[2]) == 1


def test_held_finds_only_the_sockets_of_these_processes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (own,) = sockets.listeners(server.getsockname()[1])
        assert sockets.held({own.inode, 1}, [OWN]) == {own.inode}
        assert sockets.held({own.inode}, [1_000_000_000]) == set()


def test_listeners_have_connections_when_a_client_is_connected_to_one_of_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (own,) = (listener for listener in sockets.listeners_of(OWN).tcp if listener.port == server.getsockname()[1])
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
        own_inodes = {listener.inode for listener in sockets.listeners(port)}
        listeners.check_is_free([listen.format(port=port)], own_inodes)
        if is_free:
            listeners.check_is_free([listen.format(port=port)], set())
        else:
            with pytest.raises(BadRequest, match=f"port {port} is taken by python"):
                listeners.check_is_free([listen.format(port=port)], set())


def test_list_of_the_kernel_that_an_error_cuts_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux puts the error into the message that ends the list."""
    here, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    kernel.send(struct.pack("=IHHIIi", 20, 3, 2, 0, 0, -errno.ENOENT))
    monkeypatch.setattr(socket, "socket", lambda *_: here)
    with kernel, pytest.raises(FileNotFoundError):
        list(sock_diag.tcp(sock_diag.ESTABLISHED))


def test_list_of_the_kernel_that_is_cut_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    for message in (b"\0", b"\x10", struct.pack("=IHHII", 0, 20, 2, 0, 0), struct.pack("=IHHII", 16, 20, 2, 0, 0)):
        here, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        kernel.send(message)
        with kernel, monkeypatch.context() as patched, pytest.raises(OSError, match="cut"):
            patched.setattr(socket, "socket", lambda *_, here=here: here)
            list(sock_diag.tcp(sock_diag.ESTABLISHED))


def test_unix_socket_of_any_name_hides_no_other_listener(tmp_path: Path) -> None:
    """In the tree of 768eec4 the name ended every command that stopped a color: any local user may choose one."""
    with socket.socket(socket.AF_UNIX) as strange, socket.socket(socket.AF_UNIX) as honest:
        strange.bind("\0strange\na b c d e f g h\n\n\u00b2: 0 0 0 0 0 \u00b2 x")
        strange.listen()
        honest.bind(str(tmp_path / "honest"))
        honest.listen()
        assert {os.fstat(end.fileno()).st_ino for end in (strange, honest)} <= sockets.listening_inodes()
        assert str(tmp_path / "honest") in sockets.listeners_of(os.getpid()).unix
