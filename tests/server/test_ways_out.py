"""An app that was taken over tries to stay: outside its sandbox, after its end, and after `teal destroy`.

The images of tests are small: a file stands for the socket of D-Bus, and a directory for cron. With Debian's own dbus,
polkitd, libpam-systemd and cron the attacks were tried by hand: SetUserLinger over D-Bus worked at 768eec4.
"""

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import harness
from harness import Server
from harness.booted_server import make_key
from harness.deploy_keys import frame
from harness.ssh_access import one_login, run
from harness.world import App, at_server, wait_until
from teal_host.wire.requests import Status
from teal_host.wire.sources import CALLS

PROBER = Path(__file__).parents[1] / "apps/prober.py"
LIKE_DEBIANS = "mkdir -p /run/dbus /var/spool/cron/crontabs; touch /run/dbus/system_bus_socket"
HOME_OF_BEFORE = "unshare --pid --fork --mount-proc usermod --home /var/lib/one --expiredate '' teal-one"


@dataclass(frozen=True)
class Taken:
    """An app that runs whatever code a request brings."""

    server: Server
    app: App
    before: frozenset[str]  # the paths of the server before it knew Teal

    def tries(self, code: str) -> Any:
        body = json.dumps({"it": code}).encode()
        request = urllib.request.Request(f"http://{self.server.address}/", body, {"Host": "one.test"})
        straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with straight.open(request, timeout=60) as answer:
            return json.loads(answer.read())["it"]

    @property
    def uid(self) -> str:
        return run(self.server, "id", "-u", "teal-one").strip()

    def may_log_in(self) -> bool:
        """`ssh -N` needs no shell, and forwards ports until the client ends."""
        key = (self.server.directory / "key.pub").read_text()
        run(self.server, "sh", "-ec", f"mkdir -p /var/lib/one/.ssh; echo '{key}' > /var/lib/one/.ssh/authorized_keys")
        run(self.server, "chown", "-R", "teal-one:", "/var/lib/one/.ssh")
        argv = ["ssh", "-F", str(self.server.ssh_config), "-l", "teal-one", "-N", self.server.name]
        with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as client:
            session = ("pgrep", "-u", "teal-one", "-f", "^sshd")
            wait_until(lambda: client.poll() is not None or self.server.run(*session).returncode == 0)
            ended = client.poll()
            client.kill()
        return ended is None


@pytest.fixture(scope="module")
def taken(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taken]:
    work = tmp_path_factory.mktemp("taken")
    with harness.server(debian, work, packages=["nginx", "sudo"]) as server, one_login(server) as login:
        run(server, "sh", "-ec", LIKE_DEBIANS)
        app = at_server(work / "admin", server, login).app("one")
        app.config(
            server={"domains": ["one.test"]},
            run={"data": True},
            verify={"json": None, "path": None},
            health={"path": "/", "successes": 1},
        )
        (app.directory / "program").write_text("#!/usr/bin/python3\n" + PROBER.read_text())
        before = paths(server)
        make_key(work / "ci", "ci")
        app.teal("setup", "--deploy-key", f"{work}/ci.pub").ok()
        app.teal("env", "set", "TOKEN", stdin="x").ok()
        app.deploy().ok()
        by_key = ["ssh", "-F", str(server.ssh_config), "-l", "teal", "-i", f"{work}/ci", server.name, CALLS]
        asked = subprocess.run(by_key, input=frame(Status("one")), capture_output=True, timeout=120, check=False)
        assert b"statusreport" in asked.stdout, asked
        yield Taken(server, app, before)


def paths(server: Server) -> frozenset[str]:
    """Every path that Teal could have made, but for what systemd, the system's log and the app itself make."""
    skipped = ("/var/lib/systemd", "/var/lib/one/*")  # and of /run what begins with t
    expression = " -o ".join(f"-path {path}" for path in (*skipped, "/var/log", "/var/tmp", "/var/cache", "/run/[!t]*"))
    where = ("/etc", "/run", "/srv", "/usr", "/var")
    listed = run(server, "find", *where, "-xdev", "(", *expression.split(), ")", "-prune", "-o", "-print")
    return frozenset(listed.splitlines())


HIDDEN = """
import os, pwd
def reached(path):
    try:
        return bool(os.listdir(path)) if os.path.isdir(path) else not os.stat(path).st_mode & 0o777 == 0
    except OSError:
        return False
told = [path for path in ("/run/dbus", "/run/user", "/run/systemd/private") if reached(path)]
told += [os.environ["HOME"], pwd.getpwuid(os.getuid()).pw_dir]
"""


@pytest.mark.row("S2")
def test_app_has_no_services_of_its_own_outside_its_sandbox(taken: Taken) -> None:
    """Succeeded against 768eec4: systemd let the app's user linger, and started units from the app's data directory."""
    assert taken.tries(HIDDEN) == ["/var/lib/one", "/nonexistent"]
    taken.server.run("systemctl", "start", f"user@{taken.uid}.service")
    assert run(taken.server, "systemctl", "show", "--value", "-p", "ActiveState", f"user@{taken.uid}") != "active\n"


@pytest.mark.row("S2")
def test_sshd_lets_no_user_of_an_app_in(taken: Taken) -> None:
    """Succeeded against 768eec4, with a key in the app's data directory, which was its home."""
    assert not taken.may_log_in()


ENTER = """
import os
def tried(act):
    try:
        act()
    except OSError:
        return "denied"
    return "done"
inside = "/proc/{pid}/root"
told = [tried(lambda: os.listdir(inside + "/run/dbus")), tried(lambda: os.listdir(inside + "/home")),
        tried(lambda: open(inside + "/var/lib/teal-escape", "w")), tried(lambda: open(inside + "/srv/x", "w"))]
"""
SAME = "User,UMask,TasksMax,LimitNOFILE,MemoryMax,NoNewPrivileges,CapabilityBoundingSet,ProtectSystem,ProtectHome"
SAME += ",PrivateTmp,PrivateDevices,ProtectProc,RestrictNamespaces,SystemCallFilter,InaccessiblePaths,RemoveIPC"
SAME += (
    ",RestrictAddressFamilies,ReadWritePaths,StateDirectory,RestrictSUIDSGID,LockPersonality,SystemCallArchitectures"
)


PAGE = Path(__file__).parents[2] / "docs/explanation/security.md"


@pytest.mark.row("S35")
def test_modes_and_owners_are_as_documented(taken: Taken) -> None:
    rows = re.findall(r"^\| `(/[^`]+)` \| ([\w:]+) \| (\d+) \|$", PAGE.read_text(), re.MULTILINE)
    documented = {path: f"{mode} {owner.replace('USER', 'teal-one')}" for path, owner, mode in rows}
    made = sorted(paths(taken.server) - taken.before | {"/etc/teal", "/var/lib/teal", "/usr/local/lib/teal"})
    shown = dict(line.split(" ", 1) for line in run(taken.server, "stat", "-c", "%n %a %U:%G", *made).splitlines())
    wrong, unused = {}, set(documented)
    for path, how in shown.items():
        row = next((row for row in documented if covers(row, path)), "")
        unused.discard(row)
        if documented.get(row) != how:
            wrong[path] = how
    assert not wrong, "\n".join(f"{path} {how}" for path, how in wrong.items())
    assert unused == set()


def covers(row: str, path: str) -> bool:
    """A `*` in a row stands for one name, and `**` for any below."""
    return bool(re.fullmatch(re.escape(row).replace(r"\*\*", ".+").replace(r"\*", "[^/]+"), path))


@pytest.mark.row("S7")
def test_command_of_exec_is_no_way_out_for_the_app(taken: Taken) -> None:
    """Succeeded against 768eec4: the command ran without a sandbox, and the app entered it through /proc/PID/root."""
    with taken.app.world.start("exec", "--", "sleep", "4711", cwd=taken.app.directory) as client:
        wait_until(lambda: taken.server.run("pgrep", "-f", "^sleep 4711").returncode == 0)
        pid = run(taken.server, "pgrep", "-f", "^sleep 4711").strip()
        (unit,) = run(taken.server, "systemctl", "list-units", "--plain", "--no-legend", "teal-one.exec-*").splitlines()
        shown = [
            run(taken.server, "systemctl", "show", "-p", SAME, name) for name in (unit.split()[0], "teal-one@blue")
        ]
        assert shown[0] == shown[1]
        assert taken.tries(ENTER.replace("{pid}", pid)) == ["denied"] * 4
        client.kill()
    wait_until(lambda: taken.server.run("pgrep", "-f", "^sleep 4711").returncode != 0)
    wait_until(lambda: "teal-one.exec-" not in run(taken.server, "ls", "/run/systemd/system"))


HOPS = """
import os, time
os.setgid({gid}); os.setuid({uid})
while True:  # at most two processes at a time, and never the same one for long
    if os.fork():
        os._exit(0)
    os.setsid()
    os.makedirs("/var/lib/one/more/%d/x" % os.getpid(), exist_ok=True)
    time.sleep(0.002)
"""


def start_hopping(taken: Taken) -> None:
    """A process of the app's user outside its unit, as an intruder of before may have left one."""
    unit = ("systemd-run", "-q", "--unit=hops", "--slice=user.slice", "--property=Type=forking")
    code = HOPS.format(uid=taken.uid, gid=run(taken.server, "id", "-g", "teal-one").strip())
    run(taken.server, "rm", "-rf", "/var/lib/one/more")
    run(taken.server, *unit, "--property=GuessMainPID=no", "/usr/bin/python3", "-c", code)
    wait_until((taken.server.root / "var/lib/one/more").exists)


@pytest.mark.row("S4", "S19")
def test_evicting_deploy_ends_every_process_of_the_app_first(taken: Taken) -> None:
    """At 768eec4 what ran on the old color, and beside it, saw the mended release start, and could end it."""
    start_hopping(taken)
    ended = taken.app.deploy("--evict", "-y").ok().result
    assert (ended["outcome"], ended["color"], ended["previous"]) == ("live", "green", None)
    main = run(taken.server, "systemctl", "show", "--value", "-p", "MainPID", "teal-one@green").strip()
    assert run(taken.server, "pgrep", "-u", "teal-one").split() == [main]


@pytest.mark.row("S2")
def test_setup_shuts_out_the_user_of_before_and_the_app_runs_on(taken: Taken) -> None:
    """Users that 768eec4 made have the data directory as their home."""
    run(
        taken.server,
        "sh",
        "-ec",
        f"{HOME_OF_BEFORE}; mkdir -p /var/lib/systemd/linger; touch /var/lib/systemd/linger/teal-one",
    )
    assert taken.may_log_in()  # so each of the attacks works again
    live = taken.app.status()["live"]
    pid = run(taken.server, "systemctl", "show", "--value", "-p", "MainPID", f"teal-one@{live}")
    crontab, unit = taken.server.root / "var/spool/cron/crontabs/teal-one", "/etc/systemd/system/teal-one@.service"
    crontab.write_text("@daily true\n")  # an admin's: at cd5f48e setup removed the crontab
    of_before = "s/^Environment=HOME/#&/; s/ *-.run.dbus//"
    run(taken.server, "sh", "-ec", f"sed -i '{of_before}' {unit}; systemctl daemon-reload")
    changes = [str(change) for change in taken.app.teal("setup", "--json", "--dry-run").ok().result["changes"]]
    shut = next(number for number, change in enumerate(changes) if "shut teal-one out: home /nonexistent" in change)
    of_unit = [change for change in changes[:shut] if unit in change]  # at cd5f48e it came after
    assert "the program does not reach the system bus in /run/dbus" in of_unit[0]
    assert "no longer, and teal destroy removes them: /var/spool/cron/crontabs/teal-one" in changes[shut]
    taken.app.teal("setup", "-y").ok()
    assert not taken.may_log_in()
    assert not (taken.server.root / "var/lib/systemd/linger/teal-one").exists()
    assert crontab.read_text() == "@daily true\n"
    assert run(taken.server, "systemctl", "show", "--value", "-p", "MainPID", f"teal-one@{live}") == pid
    assert taken.app.teal("setup", "--json", "--dry-run").ok().result["changes"] == []


PLANTED = """
import os, socket
os.makedirs(os.environ["DATA_DIR"] + "/planted", exist_ok=True)
os.chdir(os.environ["DATA_DIR"] + "/planted")
for number, path in enumerate(("/etc", "/etc/shadow", "/etc/teal/one", "/var/lib/teal/one/lock", "/root", "/proc/1")):
    os.symlink(path, f"link-{number}")
os.mkfifo("fifo")
socket.socket(socket.AF_UNIX).bind("socket")
open("\\x1b]0;title\\x07\\n::warning::x", "w").close()
os.chmod(".", 0o777)
"""


@pytest.mark.row("S15", "S16", "S18")
def test_root_follows_nothing_that_an_app_has_planted_where_root_works(taken: Taken) -> None:
    """The owner of the data is wrong, as after a restore, so that setup and systemd have to change it."""
    assert taken.tries(PLANTED) == "done"
    targets = (
        "/etc",
        "/etc/passwd",
        "/etc/shadow",
        "/etc/teal/one/app.json",
        "/var/lib/teal/one/journal",
        "/root",
        "/",
    )
    before = run(taken.server, "stat", "-c", "%n %a %U:%G", *targets)
    run(taken.server, "chown", "root:", "/var/lib/one")
    for command in (["setup", "-y"], ["doctor"], ["exec", "--", "true"]):
        shown = taken.app.teal(*command).ok()
        assert "\x1b]0;title" not in shown.out + shown.err
    run(taken.server, "systemctl", "restart", "teal-one@blue")
    assert run(taken.server, "stat", "-c", "%n %a %U:%G", *targets) == before
    assert run(taken.server, "stat", "-c", "%U", "/var/lib/one").strip() == "teal-one"


NESTED = """
import os
os.chdir(os.environ["DATA_DIR"])
os.mkfifo("fifo"); os.symlink("/etc", "etc"); os.symlink("/etc/passwd", "passwd"); os.link("fifo", "hard")
os.mkdir("locked"); open("locked/x", "w"); os.chmod("locked", 0)
for _ in range(1500):
    os.mkdir("d"); os.chdir("d")
os.symlink("/etc", "etc")
"""


@pytest.mark.row("S8", "S15", "S16")
def test_destroy_removes_whatever_an_app_has_left(taken: Taken) -> None:
    """Succeeded against 768eec4: RecursionError for the nested directories, and a user who lingers for ever."""
    assert taken.tries(NESTED) == "done"
    uid, root = taken.uid, taken.server.root
    run(taken.server, "sh", "-ec", "touch /var/lib/systemd/linger/teal-one /var/spool/cron/crontabs/teal-one")
    start_hopping(taken)
    taken.app.teal("destroy", "-y", deadline_s=120).ok()
    assert [path for path in ("var/lib/one", "var/lib/teal", "etc/teal") if (root / path).exists()] == []
    assert not (root / "var/lib/systemd/linger/teal-one").exists()
    assert list((root / "var/spool/cron/crontabs").iterdir()) == []
    assert taken.server.run("pgrep", "-u", uid).stdout == ""
    assert "teal-one" not in (root / "etc/passwd").read_text()
    assert {"passwd", "nginx", "shadow"} <= {path.name for path in (root / "etc").iterdir()}
