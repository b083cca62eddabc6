"""What the machine says: /proc, sock_diag, systemctl, journalctl, nginx -T, a program that is probed."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast
from unittest import mock

from hypothesis import strategies as st

from fuzz.disk import app_in
from fuzz.engine import Target, corpus
from fuzz.mutation import mutated
from teal_host.ground import http_probe, processes, sock_diag, sockets, systemctl
from teal_host.ground.errors import BadRequest, CannotRun
from teal_host.ground.http_probe import NoAnswer, json_differs
from teal_host.ground.run import Ran
from teal_host.proxies import certbot, certificate
from teal_host.proxies.nginx import sites, tree
from teal_host.proxies.nginx.tree import CannotRead
from teal_host.state import ssh_login
from teal_host.supervisors import journald
from teal_host.supervisors.journald import Invocation, JournalTail
from teal_host.supervisors.systemd import Systemd

UNIX = b"0000000000000000: 00000002 00000000 00010000 0001 01 %d %s\n"
STAT = b"7 (%s) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 1" + b" 0" * 28 + b"\n"
STATUS = b"Name:\t%s\nState:\tS (sleeping)\nPPid:\t1\nUid:\t7\t7\t7\t7\nGid:\t7\t7\t7\t7\nVmRSS:\t  12 kB\n"


def proc(data: bytes, folder: Path) -> object:
    """The kernel's own rows around a name that a process has chosen. The name changes nothing of the rest."""
    name, own = data[:4000].replace(b"\0", b"@"), folder / "7"
    for needed in (own / "fd", folder / "net", folder / "sys/kernel/random"):
        needed.mkdir(parents=True, exist_ok=True)
    escaped = name.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")[:64]  # as the kernel does
    texts = {
        "7/stat": STAT % escaped,
        "7/status": STATUS % escaped,
        "7/cmdline": data,
        "7/environ": data,
        "7/cgroup": b"0::/system.slice/" + name.replace(b"\n", b"\\n") + b"\n",
        "net/unix": b"Num RefCount\n" + UNIX % (5, name) + UNIX % (6, b"/honest"),
        "sys/kernel/random/boot_id": b"boot\n",
    }
    for path, text in texts.items():
        (folder / path).write_bytes(text)
    has_tables_alone = mock.patch.object(sock_diag, "unix", side_effect=OSError)
    with mock.patch.object(processes, "_PROC", folder), mock.patch.object(sockets, "_PROC", folder), has_tables_alone:
        life = processes.life(7)
        assert (life and life.ticks, processes.uids(7), processes.parent(7)) == (4242, (7,) * 4, 1)
        assert {6, *({5} if name.splitlines()[:1] not in ([], [b""]) else ())} <= sockets.listening_inodes()
        processes.with_env("TEAL_SLOT=x")
        return [processes.command_line(7), processes.name_of(7), sorted(processes.control_groups(7))]


def pem(data: bytes, folder: Path) -> object:
    """A certificate and its key in one file, of whoever renews them."""
    (folder / "both.pem").write_bytes(data)
    return certificate.read(folder / "both.pem", folder / "both.pem").names


def certbot_words(data: bytes, folder: Path) -> object:
    sentence = certbot.sentence(data.decode(errors="replace").splitlines())
    assert 0 < len(sentence) <= 400
    assert "\n" not in sentence
    return sentence


class _Kernel:
    """Answers a question with these bytes, then with silence."""

    def __init__(self, answer: bytes) -> None:
        self._answers = [answer[at : at + 65_536] for at in range(0, len(answer), 65_536)]

    def __enter__(self) -> "_Kernel":
        return self

    def __exit__(self, *_: object) -> None: ...

    def settimeout(self, _: float) -> None: ...

    def send(self, _: bytes) -> None: ...

    def recv(self, _: int) -> bytes:
        if not self._answers:
            raise TimeoutError
        return self._answers.pop(0)


def kernel(data: bytes, folder: Path) -> object:
    with mock.patch("socket.socket", lambda *_: _Kernel(data)):
        tcp = [row.address for row in sock_diag.tcp(sock_diag.LISTEN)]
    with mock.patch("socket.socket", lambda *_: _Kernel(data)):
        return [*tcp, *(row.name for row in sock_diag.unix())]


def systemd(data: bytes, folder: Path) -> object:
    answer, color = Ran(0, data.decode(errors="replace")), app_in(folder).color("blue")
    with mock.patch.object(systemctl, "run", lambda *_: answer), mock.patch.object(systemctl, "_PATIENCE_S", 0):
        systemctl.text(color.unit)
        systemctl.properties("", ["Version"])
        with mock.patch.object(journald, "_entries", lambda _: iter(())), mock.patch.object(journald, "run"):
            state, restarts = Systemd().state(color), Systemd().restarts(color)
        return [state, restarts, systemctl.version()]


def journalctl(data: bytes, folder: Path) -> object:
    color = app_in(folder).color("blue")

    def lines(argv: list[str], _: float) -> Iterator[bytes]:
        assert all(isinstance(word, str) for word in argv)
        yield from data.replace(b"UNIT", color.unit.encode()).split(b"\n")

    with (
        mock.patch.object(journald, "output_lines", lines),
        mock.patch.object(journald, "run"),
        mock.patch.object(journald, "properties", lambda *_: {"NRestarts": data[:20].decode(errors="replace")}),
    ):
        tail = JournalTail([color])
        read = [line.text for line in (*tail.last(10), *tail.more(), *tail.more())]
        ends = journald.ends(color.unit, 10, Invocation("1", runs=True))
        return [read, journald.read_unit_log(color.unit).last_end, [end.how for end in ends]]


def nginx(data: bytes, folder: Path) -> object:
    text = data.decode(errors="replace")
    tree.refusal(text)
    configuration = tree.parse(text)
    listens = [listen.value for site in sites.servers(configuration) for listen in site.listens[:100]]
    return [listens, [directive.args for name in ("user", "pid") for directive in configuration.top(name)]]


def http(data: bytes, folder: Path) -> object:
    try:
        response = http_probe._answer(cast(BinaryIO, io.BufferedReader(cast(Any, io.BytesIO(data)))))
    except http_probe._NotHttp as error:
        raise NoAnswer(f"the answer is not HTTP ({error})") from None
    assert len(response.body) <= http_probe.MAX_ANSWER
    assert response.beginning.isprintable()
    return [response.beginning, json_differs(response, {"status": "ok", "list": [1]})]


@st.composite
def http_answers(draw: st.DrawFn) -> bytes:
    """Also without an end: of a head, of lines of 100, of chunks."""
    endless = [b"HTTP/1.1 100 Continue\r\n\r\n", b"X: y\r\n", b"1\r\nx\r\n", b"{", b"0"]
    return draw(mutated(corpus("http"))) + draw(st.sampled_from([b"", *endless])) * draw(
        st.sampled_from([0, 1, 30_000])
    )


def sshd(data: bytes, folder: Path) -> object:
    """The line of sshd about a certificate, whose words its CA has chosen."""
    ssh_login.certificate.cache_clear()
    line = data.decode(errors="replace")
    with mock.patch.object(ssh_login, "_accepted", lambda _: line), mock.patch.object(ssh_login, "connection"):
        known = ssh_login.certificate("SHA256:ca")
    assert known is None or "\n" not in str(known["id"])
    return [known]


TARGETS = [
    Target("sshd", sshd, mutated(corpus("sshd"))),
    Target("proc", proc, mutated(corpus("proc"))),
    Target("sock-diag", kernel, mutated(corpus("sock-diag")), (OSError,)),
    Target("systemctl", systemd, mutated(corpus("systemctl")), (CannotRun,)),
    Target("journalctl", journalctl, mutated(corpus("journalctl")), (CannotRun,)),
    Target("nginx-tree", nginx, mutated(corpus("nginx-tree")), (CannotRead,)),
    Target("pem", pem, mutated(corpus("pem")), (BadRequest,)),
    Target("certbot", certbot_words, mutated(corpus("certbot"))),
    Target("http", http, http_answers(), (NoAnswer,)),
]
