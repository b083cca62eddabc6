"""`{socket}` on a real server: who can reach the socket, and a whole life on it and on a port."""

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest

from harness import Server
from harness.ssh_access import one_login, run
from harness.visitors import Site, visitors
from harness.world import App, at_server, straight, wait_until
from server.setup.results import OTHERS, differing

SOCKET, PORT = ["./program", "{socket}"], ["./program"]
FOLDER = "/run/teal/shop"
MOUNTS = ("run-teal-shop-blue.mount", "run-teal-shop-green.mount")
# The modes stay as they should be.
OWN_GROUP = """
for path in (os.path.dirname(os.environ["SOCKET"]), os.environ["SOCKET"]):
    os.chown(path, -1, os.getgid())
"""
KEEP = {"watch_s": 0, "drain_s": 1}
# A program of somebody else, which nginx's user may reach, and no visitor of the app.
ELSEWHERE = "/srv/elsewhere.sock"
OTHER_PROGRAM = f"""
import socket, os
listener = socket.socket(socket.AF_UNIX)
listener.bind("{ELSEWHERE}")
os.chmod("{ELSEWHERE}", 0o666)
listener.listen()
while True:
    connection = listener.accept()[0]
    connection.recv(65536)
    connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\nsecret of another program")
    connection.close()
"""


class Shop:
    """Its first release listens on a port."""

    def __init__(self, server: Server, app: App) -> None:
        self.server, self.app = server, app
        self.configure(PORT)
        app.teal("setup", "--yes").ok()
        app.deploy().ok()

    def configure(self, command: list[str], deadline_s: float = 30) -> None:
        health = {"successes": 1, "deadline_s": deadline_s}
        self.app.config(run={"command": command, "data": True}, health=health, keep=KEEP)

    def deploy(self, version: str, command: list[str], *options: str) -> None:
        self.configure(command)
        self.app.program(version=version)
        self.app.deploy(*options).ok()
        assert self.app.get()["version"] == version

    @property
    def colors(self) -> tuple[str, str]:
        """The live one first."""
        live = str(self.app.get()["color"])
        return live, "blue" if live == "green" else "green"

    def shell(self, command: str) -> str:
        return run(self.server, "sh", "-c", f"{command} 2>&1 || true")

    def inside(self, color: str, code: str) -> str:
        """What a program finds where the color's own program runs: with its user and its mounts."""
        pid = run(self.server, "systemctl", "show", "--property=MainPID", "--value", f"teal-shop@{color}").strip()
        ids = "--setuid $(id -u teal-shop) --setgid $(id -g teal-shop)"
        return self.shell(f"nsenter --target {pid} --mount {ids} python3 -c '{code}'")

    def answer(self) -> str:
        """What a visitor's POST gets, for which nginx makes a connection of its own; nothing for an error."""
        with suppress(OSError), straight(f"http://{self.server.address}/", b"cookie") as answer:
            return str(answer.read().decode())
        return ""

    def nginx_runs_as(self, user: str) -> None:
        run(self.server, "sed", "-i", f"s/^user .*/user {user};/", "/etc/nginx/nginx.conf")
        run(self.server, "systemctl", "reload", "nginx")
        wait_until(lambda: self.shell("ps -eo user:9,args | grep '[n]ginx: worker process$'").split()[0] == user)

    def answers(self, version: str) -> bool:
        try:
            return bool(self.app.get()["version"] == version)
        except (OSError, ValueError):
            return False


@pytest.fixture(scope="module")
def shop(shared: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The last test destroys it."""
    work = tmp_path_factory.mktemp("socket")
    before = shared.files(ignoring=OTHERS)
    with one_login(shared) as config:
        made = Shop(shared, at_server(work / "admin", shared, config).app())
        yield made
        assert made.app.teal("destroy", "--yes").code in (0, 2)
        made.nginx_runs_as("www-data")
    assert differing(before, shared.files(ignoring=OTHERS)) == []


@pytest.mark.hint("use {port} in [run] command, then teal setup")
def test_app_moves_to_sockets_and_back_and_no_request_is_lost(shop: Shop) -> None:
    app = shop.app
    shop.configure(SOCKET)
    app.program(version="v2")
    refused = app.deploy()
    assert (refused.code, refused.result["outcome"]) == (3, "refused")
    assert "{socket}" in json.dumps(refused.result["error"])
    run(shop.server, "mv", "/usr/bin/mount", "/usr/bin/mount.aside")  # as one that does not know the option
    without = app.teal("setup", "--yes")
    run(shop.server, "mv", "/usr/bin/mount.aside", "/usr/bin/mount")
    assert without.code == 1, without
    assert f"{FOLDER}/blue cannot be mounted" in without.err
    plan = app.teal("setup", "--yes").ok().err
    assert "a unix socket for each color" in plan
    assert "blue runs: until its next start it can take the place of the other color's socket" in plan
    everybody = Site("localhost", lambda body: b"version" in body)
    with visitors(shop.server, [everybody], per_second=25) as seen:
        shop.deploy("v2", SOCKET)
        shop.deploy("v3", PORT)
        for version in ("v2", "v3"):
            app.teal("rollback", *(["3"] if version == "v3" else [])).ok()
            assert app.get()["version"] == version
            seen.wait_for_requests(10)
        shop.deploy("v4", SOCKET)
        shop.deploy("v5", SOCKET)
    assert (seen.tally.lost, seen.tally.failures) == (0, [])
    assert {row["state"] for row in app.teal("doctor", "--json").ok().result["findings"]} <= {"ok", "warning"}


def test_socket_belongs_to_the_app_and_to_nginx_alone(shop: Shop) -> None:
    live, other = shop.colors
    row = shop.app.status()["colors"][live]
    assert (row["port"], row["socket"]) == (None, f"{FOLDER}/{live}/socket")
    for color in ("blue", "green"):
        shown = run(shop.server, "stat", "-c", "%a %U %G", f"{FOLDER}/{color}", f"{FOLDER}/{color}/socket", FOLDER)
        assert shown.splitlines() == ["2750 teal-shop www-data", "770 teal-shop www-data", "755 root root"]
    code = f'import socket; socket.socket(socket.AF_UNIX).connect("{FOLDER}/{live}/socket"); print("met")'
    for user, finds in (("daemon", "Permission denied"), ("nobody", "Permission denied"), ("www-data", "met")):
        ids = f"--reuid {user} --regid $(id -g {user}) --clear-groups"
        assert finds in shop.shell(f"setpriv {ids} python3 -c '{code}'"), user
    for folder in (f"{FOLDER}/{other}", FOLDER, "/run/teal"):
        finds = shop.inside(live, f'open("{folder}/x", "w")')
        assert "Read-only file system" in finds or "Permission denied" in finds, folder
    assert "Read-only file system" in shop.inside(live, f'import os; os.unlink("{FOLDER}/{other}/socket")')
    assert "No space left" in shop.inside(live, f'open("{FOLDER}/{live}/x", "w").write("x" * 1000000)')
    assert "PORT" not in shop.app.get("/env")
    assert FOLDER not in shop.app.teal("exec", "--", "env").ok().out
    run(shop.server, "systemd-analyze", "security", "--no-pager", "--threshold=20", f"teal-shop@{live}")


def test_link_in_place_of_the_socket_leads_nginx_and_root_to_no_other_program(shop: Shop) -> None:
    """Where the kernel follows links below /run/teal, as it did before each color had a mount there, this succeeds."""
    live, _ = shop.colors
    put = f'import os; os.rename("{FOLDER}/{live}/socket", "{FOLDER}/{live}/aside"); '
    back = f'import os; os.rename("{FOLDER}/{live}/aside", "{FOLDER}/{live}/socket")'
    run(shop.server, "systemd-run", "--unit=elsewhere", "python3", "-c", OTHER_PROGRAM)
    wait_until(lambda: "srw" in shop.shell(f"ls -l {ELSEWHERE}"))
    try:
        assert shop.inside(live, f'{put} os.symlink("{ELSEWHERE}", "{FOLDER}/{live}/socket")') == ""
        run(shop.server, "mount", "-o", "remount,symfollow", f"{FOLDER}/{live}")
        assert "secret of another program" in shop.answer(), "the attack"
        run(shop.server, "mount", "-o", "remount,nosymfollow", f"{FOLDER}/{live}")
        assert "secret" not in shop.answer()
        findings = json.loads(shop.app.teal("doctor", "--json").out)["findings"]
        assert [row["what"] for row in findings if "nothing listens on the socket" in row["says"]] == ["live"]
    finally:
        run(shop.server, "systemctl", "stop", "elsewhere")
        run(shop.server, "rm", "-f", ELSEWHERE)
    assert shop.inside(live, back) == ""
    wait_until(lambda: shop.answers("v5"))


def test_program_comes_back_on_its_socket_after_its_end_and_after_a_boot(shop: Shop) -> None:
    """Most programs cannot listen where an old socket is, so the directory is made anew."""
    unit = f"teal-shop@{shop.colors[0]}"
    pid = shop.app.get()["pid"]
    run(shop.server, "systemctl", "kill", "--signal=KILL", unit)
    wait_until(lambda: shop.answers("v5") and shop.app.get()["pid"] != pid)
    run(shop.server, "systemctl", "stop", unit, f"teal-shop@{shop.colors[1]}", *MOUNTS)
    run(shop.server, "rm", "-r", "/run/teal")  # as at a boot
    run(shop.server, "systemctl", "start", unit)
    wait_until(lambda: shop.answers("v5"))
    for color in ("blue", "green"):
        assert "nosymfollow" in run(shop.server, "findmnt", "--noheadings", "--output=OPTIONS", f"{FOLDER}/{color}")


@pytest.mark.hint(
    "let the program leave its umask (0007), its directory and the group of the socket as they are, "
    "or give the socket mode 660"
)
@pytest.mark.parametrize(
    ("behaviour", "fault", "hint"),
    [
        (
            {"umask": 0o077},
            "(Permission denied): the socket has mode 700 of teal-shop:www-data",
            "give the socket mode",
        ),
        ({"once_bound": OWN_GROUP}, "its directory mode 2750 of teal-shop:teal-shop", "its directory and the group"),
        ({"never_listens": True}, "nothing listens on the socket /run/teal/shop/", "unix socket {socket}"),
    ],
    ids=["umask 077", "directory of the program's group", "no socket"],
)
def test_candidate_whose_socket_cannot_be_reached_is_refused_before_the_switch(
    shop: Shop, behaviour: dict[str, object], fault: str, hint: str
) -> None:
    """At 432588d the switch to the second one came, and visitors got 502 until the rollback."""
    shop.configure(SOCKET, 0.5 if "never_listens" in behaviour else 3)
    shop.app.program(version="bad", **behaviour)
    refused = shop.app.deploy()
    assert (refused.code, refused.result["outcome"]) == (6, "unhealthy")
    assert fault in refused.result["error"]["message"]
    assert hint in refused.result["error"]["hint"]
    assert shop.app.get()["version"] == "v5"


@pytest.mark.hint("teal setup, because nginx has another group than at the last setup; then the same command again")
def test_nginx_that_has_got_another_user_is_found_before_the_switch(shop: Shop) -> None:
    """The fixture ends it. At 432588d the switch came, and visitors got 502 until the rollback."""
    shop.nginx_runs_as("games")
    shop.configure(SOCKET, 3)
    shop.app.program(version="u1")
    refused = shop.app.deploy()
    assert refused.code == 6
    assert "as games (Permission denied)" in refused.result["error"]["message"]
    assert refused.result["error"]["hint"].startswith("teal setup, because nginx has another group")
    shop.app.teal("setup", "--yes").ok()
    shop.deploy("u1", SOCKET)


def test_no_release_leaves_a_list_of_access_or_a_full_directory_to_the_next_one(shop: Shop) -> None:
    """At 6d6b405 the lists stayed until a boot, and both colors shared the room that the first of them filled."""
    live, _ = shop.colors
    folder, connects = f"{FOLDER}/{live}", "import socket; socket.socket(socket.AF_UNIX).connect"
    connect = f"setpriv --reuid daemon --regid daemon --clear-groups python3 -c '{connects}(\"{folder}/socket\")'"
    opened = f'''
import os, struct
lists = [(1, 7, -1), (2, 7, $(id -u daemon)), (4, 7, -1), (16, 7, -1), (32, 0, -1)]
blob = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *row) for row in lists)
for name, path in (("access", "{folder}/socket"), ("access", "{folder}"), ("default", "{folder}")):
    os.setxattr(path, "system.posix_acl_" + name, blob)
for number in range(1000):
    open("{folder}/%d" % number, "w")
'''.replace("$(id -u daemon)", run(shop.server, "id", "-u", "daemon").strip())
    assert "No space left" in shop.inside(live, opened)
    assert shop.shell(connect) == "", "the attack"
    shop.deploy("f1", PORT)
    shop.deploy("f2", SOCKET)
    assert shop.colors[0] == live
    assert "Permission denied" in shop.shell(connect)
    shown = "import os, sys; print([name for path in sys.argv[1:] for name in os.listxattr(path)])"
    assert run(shop.server, "python3", "-c", shown, folder, f"{folder}/socket").strip() == "[]"


def test_standby_on_a_port_answers_for_a_socket_that_is_down_and_neither_survives_an_eviction(shop: Shop) -> None:
    run(shop.server, "systemctl", "stop", f"teal-shop@{shop.colors[0]}")
    assert shop.app.get()["version"] == "f1"
    shop.deploy("f3", SOCKET, "--evict", "--yes")
    assert shop.app.teal("rollback").code == 2


def test_destroy_leaves_nothing_below_run(shop: Shop) -> None:
    assert "blue" in run(shop.server, "ls", FOLDER)
    shop.app.teal("destroy", "--yes").ok()
    assert "No such file or directory" in shop.shell("ls -d /run/teal")
    units = run(shop.server, "systemctl", "list-units", "--all", "--no-legend", "run-teal*")
    assert not [mount for mount in MOUNTS if mount in units]
