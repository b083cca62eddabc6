"""Where a color takes requests: whose socket is at a path, and what is no socket."""

import contextlib
import errno
import os
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from teal_host.ground import sock_diag, sockets
from teal_host.ground.http_probe import NoAnswer, ProbeRequest, http_get
from teal_host.ground.paths import AppPaths
from teal_host.proxies.upstream import TcpPort, UnixSocket, now
from teal_host.state import agreement
from teal_host.state.slots import ask_on_socket, assign_release
from teal_host.wire.app import Ports


@pytest.fixture
def path() -> Iterator[Path]:
    """A short one: the path of a socket has 107 bytes at most."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "socket"


@pytest.fixture
def listener(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        bound.listen()
        yield bound


def inode(of: socket.socket) -> int:
    return os.fstat(of.fileno()).st_ino


def without_sock_diag() -> Iterator[sock_diag.UnixRow]:
    raise OSError(errno.ENOENT, "no sock_diag")


def test_socket_of_a_name_of_any_length_fits_into_the_kernel_s_address() -> None:
    assert agreement.socket_refusal(AppPaths(Path("/"), "a" * 31)) is None
    refused = agreement.socket_refusal(AppPaths(Path("/" + "x" * 70), "a" * 31))
    assert refused and "is longer than 107 bytes" in refused.message


def test_nginx_asks_the_socket_only_while_the_color_has_the_mark(tmp_path: Path) -> None:
    paths = AppPaths(tmp_path, "shop")
    slot = paths.color("green")
    assign_release(paths, "green", f"0001-{'a' * 12}")
    for on_socket in (False, True, True, False):
        ask_on_socket(slot, on_socket)
        assert now(slot, Ports(8081, 8082)) == (UnixSocket(slot.socket) if on_socket else TcpPort(8082))


def test_probe_waits_for_room_in_the_queue_of_a_socket_until_its_deadline(path: Path) -> None:
    """As a port does. At 6d6b405 a queue that was full for a moment rolled a release back."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen(0)
        waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
        waiting.connect(str(path))
        with pytest.raises(NoAnswer, match="no whole answer within") as none:
            http_get(ProbeRequest(str(path), "/", "shop.test", timeout_s=0.1))
        assert none.value.silent
        pool = stack.enter_context(ThreadPoolExecutor(1))
        asked = pool.submit(http_get, ProbeRequest(str(path), "/", "shop.test", timeout_s=60))
        assert not wait([asked], 0.2).done
        listener.accept()[0].close()
        with listener.accept()[0] as connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert asked.result(60).status == 204


def test_listener_is_known_by_its_file_and_not_by_its_name(path: Path, listener: socket.socket) -> None:
    """Anybody can bind the name of another app's socket where other files are mounted."""
    upstream = UnixSocket(path)
    (known,) = upstream.listeners()
    assert (known.inode, upstream.is_met_at(known)) == (inode(listener), True)
    path.unlink()
    assert upstream.listeners() == []
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(path))  # and does not listen yet
        assert not any(map(upstream.is_met_at, upstream.listeners()))
        silent.listen()
        assert [row.inode for row in upstream.listeners() if upstream.is_met_at(row)] == [inode(silent)]


def test_connections_are_counted_from_the_moment_at_which_they_wait(path: Path, listener: socket.socket) -> None:
    upstream = UnixSocket(path)
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        first.connect(str(path))
        second.connect(str(path))
        assert upstream.connections() == 2
        with listener.accept()[0]:
            assert upstream.connections() == 2
    assert upstream.connections() == 1, "the first one is accepted and gone, the second one waits"


@pytest.mark.parametrize("kind", ["link", "fifo", "file", "directory"])
def test_what_is_no_socket_is_neither_followed_nor_waited_for(path: Path, kind: str) -> None:
    """An app writes where its socket is, and root asks there."""
    elsewhere = path.with_name("elsewhere")
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(str(elsewhere))
        foreign.listen()
        foreign.settimeout(0)
        make = {"link": lambda: path.symlink_to(elsewhere), "fifo": lambda: os.mkfifo(path)}
        make.get(kind, path.touch if kind == "file" else path.mkdir)()
        assert UnixSocket(path).listeners() == []
        with pytest.raises(NoAnswer):
            http_get(ProbeRequest(str(path), "/", "shop.test", (), 1.0))
        with pytest.raises(BlockingIOError):
            foreign.accept()


@pytest.mark.parametrize("has_sock_diag", [True, False])
def test_name_with_line_breaks_hides_and_invents_no_socket(
    path: Path, listener: socket.socket, has_sock_diag: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local user's socket of such a name ended every deploy of every app: the table of the kernel is text."""
    if not has_sock_diag:
        monkeypatch.setattr(sock_diag, "unix", without_sock_diag)
    with socket.socket(socket.AF_UNIX) as hostile:
        hostile.bind(f"\0{path}\na b c d e f g h i\n")
        hostile.listen()
        assert inode(listener) in sockets.listening_inodes()
        assert sockets.unix_paths({inode(listener)}) == [str(path)]
        assert [row.inode for row in sockets.unix_listeners(path)] == [inode(listener)]
