"""Only an app answers on its ports, only this machine reaches them, and Teal says when a stranger listens there.

Each attack succeeded against 768eec4: a local user, or another app, got the session cookies of the app's visitors.
"""

import json
import socket
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

import harness
from harness import Server
from harness.ssh_access import run
from harness.world import App, at_server, straight, wait_until

TABLE = "teal-shop"
UNIT = "teal-shop@blue"
COOKIE = "session=secret-of-a-visitor"
STOLEN = "/var/tmp/stolen"
# A local user's program on the port of a color: it answers everything like the app, and keeps what visitors send.
SQUATTER = f"""
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open({STOLEN!r} + sys.argv[1], "a").write(str(self.headers))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"stolen")
http.server.ThreadingHTTPServer.address_family = __import__("socket").AF_INET
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
ON_ALL = "import socket; bind = socket.socket.bind\nsocket.socket.bind = lambda s, a: bind(s, ('0.0.0.0', a[1]))\n"


@pytest.fixture(scope="module")
def shared(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with harness.server(debian, tmp_path_factory.mktemp("ports"), packages=["nginx", "sudo"]) as booted:
        run(booted, "useradd", "mallory")
        (booted.root / "usr/local/squatter.py").write_text(SQUATTER)
        yield booted


@pytest.fixture(scope="module")
def app(shared: Server, tmp_path_factory: pytest.TempPathFactory) -> App:
    """blue is live. The program listens on all addresses of the server."""
    made = at_server(tmp_path_factory.mktemp("home"), shared).app("shop")
    made.program(version="v1")
    program = made.directory / "program"
    first, _, rest = program.read_text().partition("\n")
    program.write_text(f"{first}\n{ON_ALL}{rest}")
    made.teal("setup").ok()
    deployed = made.deploy().ok()
    assert "may be reached without nginx" not in deployed.err
    return made


@contextmanager
def squatter(server: Server, port: int = 8081, user: str = "mallory") -> Iterator[None]:
    """Takes the port as soon as it is free."""
    unit = f"squatter-{port}"
    again = ("--property=Restart=always", "--property=RestartSec=50ms", "--property=StartLimitIntervalSec=0")
    run(
        server, "systemd-run", f"--unit={unit}", f"--uid={user}", *again, "python3", "/usr/local/squatter.py", str(port)
    )
    try:
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


def asked(server: Server, port: int = 80) -> str:
    """A visitor's request, through nginx or past it."""
    url = f"http://{server.address}:{port}/"
    with suppress(OSError, urllib.error.HTTPError), straight(url, None, {"Cookie": COOKIE}) as answer:
        return str(answer.read().decode())
    return ""


def stolen(server: Server, port: int = 8081) -> str:
    path = server.root / f"{STOLEN[1:]}{port}"
    return path.read_text() if path.exists() else ""


def listens(server: Server, port: int) -> bool:
    return f":{port} " in run(server, "sh", "-c", "ss -ltn 2>/dev/null || cat /proc/net/tcp") or bool(
        f":{port:04X} 00000000:0000 0A" in run(server, "cat", "/proc/net/tcp")
    )


def finding(app: App, what: str) -> list[dict[str, Any]]:
    return [row for row in json.loads(app.teal("doctor", "--json").out)["findings"] if row["what"] == what]


def test_stranger_on_the_port_of_a_live_color_gets_no_visitor(shared: Server, app: App) -> None:
    """Succeeded against 768eec4: the cookie was stolen, and `status` said only that blue does not run."""
    with down(shared), squatter(shared):
        wait_until(lambda: listens(shared, 8081))
        assert "stolen" not in asked(shared)
        assert COOKIE not in stolen(shared)
        shown = app.teal("status")
        assert shown.code == 10
        assert "port 8081 of blue, which is live, is held by python3" in shown.out
        assert app.teal("status", "--json").code == 10
        listeners = finding(app, "listeners")
        assert [row["state"] for row in listeners] == ["fault"]
        assert "nginx asks it for the app's visitors" in listeners[0]["says"]
    assert app.teal("status").code == 0
    app.teal("doctor").ok()


def test_rules_come_back_after_a_flush(shared: Server, app: App) -> None:
    def loaded() -> bool:
        return shared.run("nft", "list", "table", "inet", TABLE).returncode == 0

    run(shared, "nft", "flush", "ruleset")
    doctor = app.teal("doctor")
    assert doctor.code == 10 and f"teal setup would load the table inet {TABLE}" in doctor.out
    app.teal("setup").ok()
    assert loaded()
    run(shared, "nft", "flush", "ruleset")
    run(shared, "systemctl", "kill", "--signal=KILL", UNIT)
    wait_until(loaded)
    run(shared, "systemctl", "start", "nftables")
    run(shared, "systemctl", "reload", "teal-shop-ports")
    for act in ("reload", "restart", "stop"):
        run(shared, "systemctl", act, "nftables")
        wait_until(loaded)
    app.teal("doctor").ok()
    run(shared, "sh", "-c", f"nft flush chain inet {TABLE} answers")
    assert app.teal("doctor").code == 10
    run(shared, "systemctl", "reload", "teal-shop-ports")
    wait_until(lambda: "version" in asked(shared))
    app.teal("doctor").ok()


def test_only_nginx_answers_from_another_host(shared: Server, app: App) -> None:
    """Succeeded against 768eec4: the program, which listens on all addresses, answered."""
    assert "version" in asked(shared)
    with socket.socket() as line:
        line.settimeout(1)
        with pytest.raises(OSError, match="timed out"):
            line.connect((shared.address, 8081))
    inside = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8081/healthz').status)"
    assert run(shared, "python3", "-c", inside) == "200\n"


def test_old_color_cannot_take_the_port_of_the_new_one_where_systemd_limits_binds(shared: Server, app: App) -> None:
    """Succeeded against 768eec4. Debian 12's systemd has no BPF: there it succeeds, and the doctor says so."""
    (rules,) = finding(app, "port rules")
    limited = "systemd keeps each color to its own port" in rules["says"]
    assert limited or "systemd limits no binds here (tried)" in rules["says"]
    assert limited == (shared.debian >= 13)
    group = run(shared, "systemctl", "show", "--value", "--property=ControlGroup", UNIT).strip()
    bind = "import socket, sys; socket.socket().bind(('127.0.0.1', int(sys.argv[1])))"
    inside = f'echo $$ > "/sys/fs/cgroup{group}/cgroup.procs"; exec runuser -u teal-shop -- python3 -c "$0" $1'
    codes = [shared.run("sh", "-ec", inside, bind, port).returncode for port in ("8082", "9000", "0")]
    assert codes == ([1, 1, 0] if limited else [0, 0, 0])


def test_deploy_is_refused_where_a_stranger_has_the_port(shared: Server, app: App) -> None:
    with squatter(shared, 8082):
        wait_until(lambda: listens(shared, 8082))
        app.program(version="v2")
        refused = app.deploy()
        assert refused.code == 6 and "port 8082 of green is taken by python3" in refused.err
        shown = app.teal("status")
        assert shown.code == 0 and "port 8082 of green, which is idle, is held by python3" in shown.out
        assert [row["state"] for row in finding(app, "listeners")] == ["warning"]


def test_rules_are_loaded_before_nginx_after_a_boot(shared: Server, app: App) -> None:
    shared.reboot()
    shared.settled()
    order = run(
        shared, "systemctl", "show", "--value", "--property=ActiveEnterTimestampMonotonic", "nginx", "teal-shop-ports"
    )
    nginx, rules = (int(number) for number in order.split())
    assert rules < nginx
    wait_until(lambda: "version" in asked(shared))
    app.teal("doctor").ok()


def test_destroy_removes_the_table_and_no_other(shared: Server, app: App) -> None:
    run(shared, "nft", "add table inet of_the_admin")
    app.teal("destroy", "--yes").ok()
    assert run(shared, "nft", "list", "tables") == "table inet of_the_admin\n"
    units = run(shared, "systemctl", "list-units", "--all", "--no-legend", "teal-*")
    assert units == ""
