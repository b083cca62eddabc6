"""May nginx connect to a color's socket? A process tries it, with the rights of nginx's worker."""

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from teal_host.ground.errors import CannotRun
from teal_host.proxies import reach
from teal_host.proxies.nginx.program import Worker
from teal_host.state.seams import Closed

PROGRAM, PROGRAMS_GROUP, OTHERS_GROUP = 2, 2, 3  # bin, bin and sys, which every Debian has
WORKER = Worker(1, frozenset({1, 12}), 1, os.getpid())  # daemon, also in the group man

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may ask with the rights of another user")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """As on a server: its directory is the program's, with nginx's group, setgid, and nobody else's."""
    with tempfile.TemporaryDirectory() as home, socket.socket(socket.AF_UNIX) as bound:
        Path(home).chmod(0o755)
        folder = Path(home) / "blue"
        folder.mkdir()
        os.chown(folder, PROGRAM, WORKER.group)
        folder.chmod(0o2750)
        bound.bind(str(folder / "socket"))
        os.chown(folder / "socket", PROGRAM, WORKER.group)
        (folder / "socket").chmod(0o770)
        bound.listen(0)
        yield bound


def path_of(listener: socket.socket) -> Path:
    return Path(listener.getsockname())


def closed(listener: socket.socket) -> Closed | None:
    return reach.closed_to(WORKER, path_of(listener))


def make_again(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as again:
        again.bind(str(path))
    os.chown(path, PROGRAM, WORKER.group)
    path.chmod(0o600)


def test_socket_as_a_server_has_it_is_open_to_nginx_also_with_a_full_queue(listener: socket.socket) -> None:
    for _ in range(3):  # the queue takes one
        assert closed(listener) is None
    os.chown(path_of(listener).parent, PROGRAM, 12)
    os.chown(path_of(listener), PROGRAM, 12)
    assert closed(listener) is None, "a further group of nginx's"


@pytest.mark.parametrize(
    ("shut", "shown"),
    [
        (lambda path: path.chmod(0o600), "(Permission denied): the socket has mode 600 of bin:daemon, its"),
        (lambda path: os.chown(path, -1, PROGRAMS_GROUP), "the socket has mode 770 of bin:bin, its directory"),
        (make_again, "the socket has mode 600 of bin:daemon"),
        (lambda path: path.parent.chmod(0o700), "its directory mode 700 of bin:daemon"),
        (lambda path: os.chown(path.parent, -1, PROGRAMS_GROUP), "its directory mode 2750 of bin:bin"),
        (lambda path: path.unlink(), "(No such file or directory): the socket has gone"),
    ],
    ids=["mode", "group", "made again", "directory's mode", "directory's group", "gone"],
)
def test_program_that_shuts_nginx_out_is_told_what_the_modes_are(
    listener: socket.socket, shut: Callable[[Path], None], shown: str
) -> None:
    """At 432588d the groups were compared with each other, and not with nginx's: the switch gave visitors 502."""
    shut(path_of(listener))
    shut_out = closed(listener)
    assert shut_out is not None
    assert shut_out.why.startswith(f"nginx may not connect to {path_of(listener)} as daemon (")
    assert shown in shut_out.why
    assert "give the socket mode 660" in shut_out.hint


def test_group_that_nginx_has_no_more_is_setup_s_to_change(listener: socket.socket) -> None:
    os.chown(path_of(listener).parent, PROGRAM, OTHERS_GROUP)
    shut_out = closed(listener)
    assert shut_out is not None
    assert shut_out.hint.startswith("teal setup, because nginx has another group")


def test_rights_of_a_worker_that_has_ended_are_not_known(listener: socket.socket) -> None:
    with pytest.raises(CannotRun, match="cannot be tried whether nginx reaches"):
        reach.closed_to(Worker(1, frozenset({1}), 1, 2**22), path_of(listener))
