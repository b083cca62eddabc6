"""Only an app answers on its ports, only this machine reaches them, and Teal says when a stranger listens there.

Each attack succeeded against 768eec4: a local user, or another app, got the session cookies of the app's visitors.
"""

import json
import socket
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import harness
from harness import Server
from harness.ssh_access import one_login, run
from harness.world import App, at_server, straight, wait_until
from teal_host.ground.paths import AppPaths
from teal_host.supervisors import port_limits
from teal_host.supervisors.port_limits import PortLimits
from teal_host.wire.app import Ports, Sandbox

TABLE = "teal-shop"
UNIT = "teal-shop@blue"
LOADER = "teal-shop-ports"
OF_CLIENTS = 40001  # the kernel gives it to clients as well
COOKIE = "session=secret-of-a-visitor"
STOLEN = "/var/tmp/stolen"
# A local user's program on the port of a color. It answers everything like the app, and keeps what visitors send.
SQUATTER = f"""
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open({STOLEN!r}, "a").write(str(self.headers))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"stolen")
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
# Each connection stays half-open, because the socket takes no answer with so small a TTL (IP_MINTTL).
FLOOD = """
import socket, time
lines = [socket.socket() for _ in range(140)]
for line in lines:
    line.setsockopt(socket.IPPROTO_IP, 21, 255)
    line.setblocking(False)
    line.connect_ex(("127.0.0.1", 8081))
time.sleep(30)
"""
# Says how a connection ends to a listener of its own on the port of a color.
MEET = """
import socket
for address in ("127.0.0.1", "0.0.0.0", "::"):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 8081), family=family, dualstack_ipv6=":" in address):
        try: socket.create_connection(("127.0.0.1", 8081), 9); print("met")
        except OSError as error: print(type(error).__name__)
"""
# Waits for whoever connects to its port, and opens the connection from its own side: only SYN and ACK leave the port.
OPENS_ITSELF = f"""
import socket, time
def bound():
    line = socket.socket()
    line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    line.bind(("127.0.0.1", {OF_CLIENTS}))
    return line
never_accepts, until = bound(), time.monotonic() + 20
never_accepts.listen(0)
while time.monotonic() < until:
    for row in open("/proc/net/tcp"):
        _, here, there, state, *_ = row.split()
        if (there, state) == ("0100007F:{OF_CLIENTS:04X}", "02"):
            line = bound()
            line.connect(("127.0.0.1", int(here[9:], 16)))
            line.sendall(b"stolen " + line.recv(99))
"""
VISIT = f"""
import socket
try: line = socket.create_connection(("127.0.0.1", {OF_CLIENTS}), 9)
except OSError as error: print(type(error).__name__)
else: line.sendall(b"cookie"); print(line.recv(99))
"""
BIND = """
import socket
for port in (8082, 9000, 0):
    try: socket.socket().bind(("127.0.0.1", port)); print("may")
    except PermissionError: print("may not")
"""


@pytest.fixture(scope="module")
def shared(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with harness.server(debian, tmp_path_factory.mktemp("ports"), packages=["nginx", "sudo"]) as booted:
        run(booted, "useradd", "mallory")
        (booted.root / "usr/local/squatter.py").write_text(SQUATTER)
        yield booted


@pytest.fixture(scope="module")
def app(shared: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """blue is live. The program listens on all addresses of the server."""
    with one_login(shared) as login:
        made = at_server(tmp_path_factory.mktemp("home"), shared, login).app("shop")
        made.program(version="v1", bind="::")
        made.teal("setup").ok()
        deployed = made.deploy().ok()
        assert "may be reached without nginx" not in deployed.err
        yield made


@contextmanager
def squatter(server: Server, port: int) -> Iterator[None]:
    """Takes the port as soon as it is free."""
    unit = f"squatter-{port}"
    again = ("--property=Restart=always", "--property=RestartSec=50ms", "--property=StartLimitIntervalSec=0")
    program = ("python3", "/usr/local/squatter.py", str(port))
    run(server, "systemd-run", f"--unit={unit}", "--uid=mallory", *again, *program)
    try:
        wait_until(lambda: f":{port:04X} 00000000:0000 0A" in run(server, "cat", "/proc/net/tcp"))
        yield
    finally:
        run(server, "systemctl", "stop", unit)


@contextmanager
def down(server: Server) -> Iterator[None]:
    """The program has crashed, and systemd pauses before it starts the program again."""
    run(server, "systemctl", "stop", UNIT)
    try:
        yield
    finally:
        run(server, "systemctl", "start", UNIT)
        wait_until(lambda: "version" in asked(server))


def asked(server: Server) -> str:
    """A visitor's request."""
    with (
        suppress(OSError, urllib.error.HTTPError),
        straight(f"http://{server.address}/", None, {"Cookie": COOKIE}) as answer,
    ):
        return str(answer.read().decode())
    return ""


def findings(app: App, what: str) -> list[dict[str, Any]]:
    return [row for row in json.loads(app.teal("doctor", "--json").out)["findings"] if row["what"] == what]


def is_loaded(server: Server) -> bool:
    return server.run("nft", "list", "table", "inet", TABLE).returncode == 0


@pytest.mark.row("S3")
def test_stranger_on_the_port_of_a_live_color_gets_no_visitor(shared: Server, app: App) -> None:
    """Succeeded against 768eec4: the cookie was stolen, and `status` said only that blue does not run."""
    with down(shared), squatter(shared, 8081), squatter(shared, 8082):
        assert "stolen" not in asked(shared)
        assert not (shared.root / STOLEN[1:]).exists()
        shown = app.teal("status")
        assert shown.code == 10
        assert "port 8081 of blue, which is live, is held by python3" in shown.out
        assert "port 8082 of green, which is idle, is held by python3" in shown.out
        listeners = findings(app, "listeners")
        assert [row["state"] for row in listeners] == ["fault", "warning"]
        assert "nginx asks it for the app's visitors" in listeners[0]["says"]


def test_half_open_connections_of_a_local_user_do_not_close_a_live_app(shared: Server, app: App) -> None:
    """Succeeded against 7da884b. A full queue makes the kernel answer with SYN cookies, which no socket owns."""
    run(shared, "systemd-run", "--unit=flood", "--uid=mallory", "python3", "-c", FLOOD)
    try:
        wait_until(lambda: run(shared, "cat", "/proc/net/tcp").count("0100007F:1F91 02") >= 128)
        inside = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8081/healthz', None, 9).status)"
        assert {run(shared, "python3", "-c", inside) for _ in range(3)} == {"200\n"}
        assert "version" in asked(shared)
    finally:
        run(shared, "systemctl", "stop", "flood")


@pytest.mark.row("S3")
def test_rules_come_back_after_a_flush(shared: Server, app: App) -> None:
    run(shared, "nft", "flush", "chain", "inet", TABLE, "answers")
    doctor = app.teal("doctor")
    assert doctor.code == 10 and f"teal setup would load the table inet {TABLE}" in doctor.out
    run(shared, "nft", "flush", "ruleset")
    run(shared, "systemctl", "kill", "--signal=KILL", UNIT)
    wait_until(lambda: is_loaded(shared))
    run(shared, "systemctl", "start", "nftables")
    run(shared, "systemctl", "reload", LOADER)
    for act in ("reload", "restart", "stop"):
        run(shared, "systemctl", act, "nftables")
        wait_until(lambda: is_loaded(shared))


def listening(server: Server) -> list[str]:
    rows = run(server, "cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
    return [row for row in rows if row.split()[3] == "0A"]


def answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=0.5).close()
    except OSError:
        return False
    return True


@pytest.mark.row("S45")
def test_only_nginx_answers_from_another_host(shared: Server, app: App) -> None:
    """Succeeded against 768eec4: the program, which listens on all addresses, answered."""
    assert "version" in asked(shared)
    cable = f"teal-{shared.address.split('.')[2]}"
    rows = [row.split() for row in run(shared, "cat", "/proc/net/if_inet6").splitlines()]
    local = [":".join(row[0][start : start + 4] for start in range(0, 32, 4)) for row in rows if row[3] == "20"]
    for address in (shared.address, *(f"{address}%{cable}" for address in local)):
        socket.create_connection((address, 22), timeout=10).close()
        with pytest.raises(OSError, match="timed out"):
            socket.create_connection((address, 8081), timeout=0.5)
    listeners = {int(row.split()[1].rpartition(":")[2], 16) for row in listening(shared)}
    assert listeners >= {22, 80, 8081}
    assert {port for port in listeners if answers(shared.address, port)} == {22, 80}
    for address in ("127.0.0.1", "[::1]"):
        inside = f"import urllib.request; print(urllib.request.urlopen('http://{address}:8081/healthz').status)"
        assert run(shared, "python3", "-c", inside) == "200\n"


@pytest.mark.row("S3", "S4")
def test_color_and_exec_take_no_port_but_their_own_where_systemd_limits_binds(shared: Server, app: App) -> None:
    """Succeeded against 768eec4. Debian 12's systemd has no BPF: there it succeeds, and the doctor says so."""
    (rules,) = findings(app, "port rules")
    assert rules["state"] == "ok"
    limited = "systemd keeps each color to its own port" in rules["says"]
    assert limited or "systemd limits no binds here (tried)" in rules["says"]
    assert limited == (shared.debian >= 13)
    expected = ["may not", "may not", "may"] if limited else ["may", "may", "may"]
    assert app.teal("exec", "--", "python3", "-c", BIND).ok().out.splitlines() == expected
    group = run(shared, "systemctl", "show", "--value", "--property=ControlGroup", UNIT).strip()
    inside = f'echo $$ > "/sys/fs/cgroup{group}/cgroup.procs"; exec runuser -u teal-shop -- python3 -c "$0"'
    assert run(shared, "sh", "-ec", inside, BIND).splitlines() == expected


@pytest.mark.row("S3")
def test_deploy_is_refused_where_a_stranger_has_the_port(shared: Server, app: App) -> None:
    with squatter(shared, 8082):
        app.program(version="v2")
        refused = app.deploy()
        assert refused.code == 6 and "port 8082 of green is taken by python3" in refused.err
        assert app.teal("status").code == 0


@pytest.mark.row("S3", "S45")
def test_second_port_is_guarded_as_the_first_once_setup_agrees_on_it(shared: Server, app: App) -> None:
    """At 1f740d8 systemd refused it where it limits binds, and the deploy said only how the program had ended."""
    app.program(version="v3", also_on="9090")
    if shared.debian >= 13:
        hint = "if a port was refused: green has port 8082 alone; [run] ports2 gives each color one more (PORT2)"
        assert hint in app.deploy().err
    app.program(version="v3", bind="::", also_on="PORT2")
    app.config(run={"ports2": {"blue": 9081, "green": 9082}})
    refused = app.deploy()
    assert refused.code == 3 and "[run] ports2.green: agreed none, in teal.toml 9082" in refused.err
    app.teal("setup").ok()
    assert app.deploy().ok().result["color"] == "green"
    inside = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:{}/healthz', None, {}).status)"
    assert run(shared, "python3", "-c", inside.format(9082, 9)) == "200\n"
    assert not answers(shared.address, 9082)
    with squatter(shared, 9081):
        assert "refused" in shared.run("python3", "-c", inside.format(9081, 0.5)).stderr
        app.program(version="v4", also_on="PORT2")
        taken = app.deploy()
        assert taken.code == 6 and "port 9081 of blue is taken by python3" in taken.err


@pytest.mark.row("S3")
def test_squatter_who_makes_the_kernel_answer_keeps_no_standby_from_standing_in(shared: Server, app: App) -> None:
    """Succeeded against 1f740d8: the queue of the squatter's own listener was full, so the kernel answered with a SYN
    cookie, which no socket owns. The visitor's cookie was read, and the visitor waited 5 s for 504.
    """
    app.program(version="v5")
    assert app.deploy().ok().result["color"] == "blue"
    with down(shared), squatter(shared, 8081):
        run(shared, "systemd-run", "--unit=flood", "--uid=mallory", "python3", "-c", FLOOD)
        try:
            seen = [asked(shared) for _ in range(3)]
        finally:
            run(shared, "systemctl", "stop", "flood")
        assert all('"v3"' in answer for answer in seen), seen
        assert not (shared.root / STOLEN[1:]).exists()


@pytest.mark.row("S3")
def test_nginx_meets_no_listener_outside_of_the_units_of_the_colors(shared: Server, app: App) -> None:
    """Succeeded against 1f740d8: a process with the app's user that is no color's, as of `teal exec`, was met. Another
    user's kept who connects waiting.
    """
    with down(shared):
        for user in ("teal-shop", "mallory", "root"):
            met = shared.ssh("runuser", "-u", user, "--", "python3", "-c", MEET)
            assert met.stdout == "ConnectionRefusedError\n" * 3, (user, met)


@pytest.mark.row("S3")
def test_squatter_on_a_port_of_clients_opens_no_connection_from_its_side(shared: Server, app: App) -> None:
    """Succeeded against 1f740d8, whose rules let SYN and ACK of such a port pass: the visitor's cookie was read."""
    ports, paths = (Ports(OF_CLIENTS, OF_CLIENTS + 1),), AppPaths(Path("/"), "shop")
    limits = PortLimits(paths, "teal-shop", ports, Sandbox(), True, 32768, port_limits.slice_of(paths))
    (shared.root / "root/rules").write_text(port_limits.rules_text(limits))
    run(shared, "nft", "--file", "/root/rules")
    run(shared, "systemd-run", "--unit=opener", "--uid=mallory", "python3", "-c", OPENS_ITSELF)
    try:
        wait_until(lambda: f":{OF_CLIENTS:04X} 00000000:0000 0A" in run(shared, "cat", "/proc/net/tcp"))
        assert shared.ssh("python3", "-c", VISIT).stdout == "ConnectionRefusedError\n"
    finally:
        run(shared, "systemctl", "stop", "opener")
        run(shared, "systemctl", "reload", LOADER)


def test_destroy_removes_the_table_and_no_other(shared: Server, app: App) -> None:
    run(shared, "nft", "add table inet of_the_admin")
    app.teal("destroy", "--yes").ok()
    assert run(shared, "nft", "list", "tables") == "table inet of_the_admin\n"
    units = run(shared, "systemctl", "list-units", "--all", "--no-legend", "teal-*")
    assert units == ""
