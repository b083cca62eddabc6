"""The client opens the printed URL: every way in which a visitor fails to reach the app, and the message for each."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from teal.config import load
from teal.ground.visitor import Arrival, Event, visit
from teal.stories import deploy as deploy_story
from teal.stories import entrance as entrances
from teal.stories.entrance import check_entrance, judge
from teal_host.wire.messages import Note
from teal_host.wire.reports import ANSWERED_HEADER, PROBE_HEADER, Entrance, SiteMark

MARK = SiteMark("a" * 32, "b" * 32)
OWN = f"HTTP/1.1 503 No\r\n{ANSWERED_HEADER}: {MARK.answer}\r\n\r\n".encode()
OTHER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
SERVER = "93.184.216.34"


@contextlib.contextmanager
def listening(*answers: bytes, hold: float = 0.0) -> Iterator[tuple[int, list[bytes]]]:
    """Yields the port, and what each connection has sent. Each connection gets the next answer, with this port."""
    requests: list[bytes] = []

    def serve() -> None:
        for answer in answers:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    requests.append(connection.recv(65536))
                    connection.sendall(answer.replace(b"PORT", str(server.getsockname()[1]).encode()))
                    if hold:
                        connection.settimeout(hold)
                        connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1], requests
        server.close()


def entrance(port: int) -> Entrance:
    return Entrance(f"http://localhost:{port}/", (SERVER,), MARK)


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 301 Moved\r\nLocation: {location}\r\n\r\n".encode()


ANSWERS: dict[str, tuple[Event, tuple[bytes, ...]]] = {
    "the mark, with any status": ("own site", (OWN,)),
    "no mark": ("other site", (OTHER,)),
    "another app's mark": ("other site", (OWN.replace(b"b" * 32, b"c" * 32),)),
    "a redirect on the same host": ("own site", (redirect("/login"), OWN)),
    "redirects without end": ("other site", (redirect("/"),) * 9),
    "a redirect to another host": ("other host", (redirect("http://169.254.169.254/"),)),
    "a redirect to another port": ("other host", (redirect("http://localhost:22/"),)),
    "a redirect to a file": ("other host", (redirect("file:///etc/passwd"),)),
    "a redirect to nonsense": ("other host", (redirect("http://[/"),)),
    "a redirect that no request can name": ("not HTTP", (redirect("/\xfcber"),)),
    "a redirect to HTTPS that is none": ("not HTTP", (redirect("https://localhost:PORT/"), b"hello")),
    "a closed connection": ("not HTTP", (b"",)),
    "another protocol": ("not HTTP", (b"SSH-2.0-OpenSSH_9.2\r\n",)),
    "more headers than there should be": ("not HTTP", (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5000,)),
}


@pytest.mark.parametrize(("event", "answers"), ANSWERS.values(), ids=list(ANSWERS))
def test_visit_tells_what_answers(event: Event, answers: tuple[bytes, ...]) -> None:
    with listening(*answers) as (port, _):
        assert visit(entrance(port)).event == event


def test_visit_is_one_get_of_the_url_with_the_question_and_nothing_secret() -> None:
    with listening(OWN) as (port, requests):
        visit(entrance(port))
    assert len(requests) == 1
    assert requests[0].startswith(b"GET / HTTP/1.1\r\n")
    assert f"\r\n{PROBE_HEADER}: {MARK.question}\r\n".encode() in requests[0]
    assert f"\r\nHost: localhost:{port}\r\n".encode() in requests[0]


def test_visit_counts_any_answer_where_nginx_has_no_mark_yet() -> None:
    with listening(OTHER) as (port, requests):
        assert visit(replace(entrance(port), mark=None)).event == "own site"
    assert PROBE_HEADER.encode() not in requests[0]


def test_visit_ends_in_time_when_an_answer_never_ends() -> None:
    began = time.monotonic()
    with listening(b"HTTP/1.1 200 OK\r\nA", hold=60) as (port, _):
        assert visit(entrance(port), within_s=0.3).event == "no answer"
    assert time.monotonic() - began < 30


def test_visit_names_a_refused_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    visited = visit(entrance(port))
    assert (visited.event, visited.port) == ("refused", port)
    assert visited.address in {"127.0.0.1", "::1"}, "the first address of localhost is the machine's choice"


def resolved(*addresses: str) -> Callable[..., Any]:
    return lambda host, port, **_: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (item, port)) for item in addresses]


def connecting(failures: dict[str, OSError]) -> Callable[..., Any]:
    def connect(address: tuple[str, int], timeout: float) -> Any:
        raise failures[address[0]]

    return connect


FAILURES: dict[str, tuple[Event, str, dict[str, OSError]]] = {
    "dropped": ("dropped", "192.0.2.1", {"192.0.2.1": TimeoutError()}),
    "no route": ("no route", "192.0.2.1", {"192.0.2.1": OSError(113, "No route to host")}),
    "refused, and no IPv6 here": (
        "refused",
        "192.0.2.1",
        {"192.0.2.1": ConnectionRefusedError(), "2001:db8::1": OSError(101, "Network is unreachable")},
    ),
}


@pytest.mark.parametrize(("event", "address", "failures"), FAILURES.values(), ids=list(FAILURES))
def test_visit_names_the_address_that_fails(
    monkeypatch: pytest.MonkeyPatch, event: Event, address: str, failures: dict[str, OSError]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolved(*failures))
    monkeypatch.setattr(socket, "create_connection", connecting(failures))
    visited = visit(Entrance("http://shop.example/", (SERVER,), MARK))
    assert (visited.event, visited.address, visited.port) == (event, address, 80)


def test_visit_names_a_name_that_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert visit(Entrance("http://shop.example/", (SERVER,), MARK)).event == "no name"


def test_visit_does_not_wait_for_a_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [answer.wait(60)][:0])
    assert visit(Entrance("http://shop.example/", (SERVER,), MARK), within_s=0.2).event == "late name server"
    answer.set()


# --- the messages ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [event for event in get_args(Event) if event != "own site"])
def test_every_event_is_a_warning_with_its_cause_and_a_hint(event: Event) -> None:
    finding = judge(Entrance("http://shop.example/", (SERVER,), MARK), Arrival(event, 80, (SERVER,), SERVER))
    assert (finding.what, finding.state) == ("url", "warning")
    assert finding.message.startswith("http://shop.example/ does not lead visitors to the app: ")
    assert finding.hint
    assert "{" not in finding.message + finding.hint
    if event not in ("no name", "late name server"):
        assert f"port 80 of {SERVER}" in finding.message


def test_closed_firewall_is_named_with_its_port() -> None:
    finding = judge(Entrance("http://shop.example:8443/", (SERVER,), MARK), Arrival("dropped", 8443, (SERVER,), SERVER))
    assert "firewall" in finding.message
    assert finding.hint.startswith("open TCP port 8443 in the firewall")


@pytest.mark.parametrize("event", ["other site", "refused", "dropped"])
def test_name_that_leads_to_another_machine_gets_the_record_to_make(event: Event) -> None:
    finding = judge(Entrance("http://shop.example/", (SERVER,), MARK), Arrival(event, 80, ("192.0.2.7",), "192.0.2.7"))
    assert "shop.example leads to 192.0.2.7" in finding.hint
    assert f"shop.example A {SERVER}" in finding.hint


def test_name_that_leads_nowhere_gets_the_record_to_make() -> None:
    finding = judge(Entrance("http://shop.example/", (SERVER, "2a00:1450::9"), MARK), Arrival("no name", 80))
    assert finding.hint == f"add to its DNS: shop.example AAAA 2a00:1450::9, shop.example A {SERVER}"


def test_private_address_of_a_server_is_named_as_a_cause() -> None:
    finding = judge(
        Entrance("http://10.0.0.4/", ("10.0.0.4",), MARK), Arrival("dropped", 80, ("10.0.0.4",), "10.0.0.4")
    )
    assert "own network" in finding.hint
    assert "open TCP port 80" in finding.hint


# --- when Teal asks -------------------------------------------------------------------------------------------------

TOML = 'app = "shop"\nrun.command = ["./app"]\nbuild.artifact = "app"\n[server]\n'
REMOTE = 'target = "ssh://root@93.184.216.34"\n'
NAMED = f'{REMOTE}domains = ["shop.example", "www.shop.example"]\n'
ASKED: dict[str, tuple[str, str, bool]] = {
    "the first name": (NAMED, "http://shop.example/", True),
    "an address of a server without names": (REMOTE, f"http://{SERVER}/", True),
    "an IPv6 address": (REMOTE, "http://[2001:db8::9]/", True),
    "another port": (f"{REMOTE}http_port = 8090\n", f"http://{SERVER}:8090/", True),
    "a name that teal.toml does not have": (NAMED, "http://intranet.example/", False),
    "an address though there is a name": (NAMED, f"http://{SERVER}/", False),
    "a port that teal.toml does not have": (REMOTE, f"http://{SERVER}:22/", False),
    "a path": (REMOTE, f"http://{SERVER}/latest/meta-data", False),
    "this machine": (REMOTE, "http://127.0.0.1/", False),
    "the cloud's metadata": (REMOTE, "http://169.254.169.254/", False),
    "this machine in an address of IPv6": (REMOTE, "http://[::ffff:127.0.0.1]/", False),
    "the cloud's metadata in an address of IPv6": (REMOTE, "http://[::ffff:169.254.169.254]/", False),
    "this machine in an older address of IPv6": (REMOTE, "http://[::7f00:1]/", False),
    "its name over HTTPS": (f'{REMOTE}domains = ["shop.example"]\n', "https://shop.example/", True),
    "another name over HTTPS": (f'{REMOTE}domains = ["shop.example"]\n', "https://evil.example/", False),
    "another port of HTTPS": (f'{REMOTE}domains = ["shop.example"]\n', "https://shop.example:8443/", False),
    "a name for a server without names": (REMOTE, "http://intranet/", False),
    "a name of this machine": (f'{REMOTE}domains = ["shop.localhost"]\n', "http://shop.localhost/", False),
    "a local app": ('domains = ["shop.example"]\nhttp_port = 80\n', "http://shop.example/", False),
}


@pytest.mark.parametrize(("toml", "url", "asked"), ASKED.values(), ids=list(ASKED))
def test_hostile_server_does_not_choose_whom_the_client_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toml: str, url: str, asked: bool
) -> None:
    (tmp_path / "app").write_text("")
    (tmp_path / "teal.toml").write_text(TOML + toml)
    monkeypatch.setattr(entrances, "visit", lambda _: Arrival("own site", 80))
    assert bool(list(check_entrance(load(tmp_path), Entrance(url, (SERVER,), MARK)))) is asked


@pytest.mark.parametrize("nginx_runs", [True, False])
def test_firewall_is_not_suspected_where_nginx_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nginx_runs: bool
) -> None:
    (tmp_path / "app").write_text("")
    (tmp_path / "teal.toml").write_text(TOML + REMOTE)
    monkeypatch.setattr(entrances, "visit", lambda _: Arrival("refused", 80, (SERVER,), SERVER))
    (finding,) = check_entrance(load(tmp_path), Entrance(f"http://{SERVER}/", (SERVER,), MARK), nginx_runs)
    assert (finding.state, "firewall of the server" in finding.hint) == ("warning", nginx_runs)


def test_ctrl_c_during_the_visit_does_not_end_a_deploy_that_is_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "app").write_text("")
    (tmp_path / "teal.toml").write_text(TOML + REMOTE)

    def interrupted(_: Entrance) -> Arrival:
        raise KeyboardInterrupt

    monkeypatch.setattr(entrances, "visit", interrupted)
    notes: list[Note] = []
    ui: Any = type("Ui", (), {"note": lambda _, note: notes.append(note)})()
    deploy_story.warn_if_closed(load(tmp_path), Entrance(f"http://{SERVER}/", (SERVER,), MARK), ui)
    monkeypatch.setattr(entrances, "visit", lambda _: Arrival("dropped", 80, (SERVER,), SERVER))
    deploy_story.warn_if_closed(load(tmp_path), Entrance(f"http://{SERVER}/", (SERVER,), MARK), ui)
    assert [note.level for note in notes] == ["warning"]
