"""What a hostile program finds from inside its unit: nothing of anybody else, and nothing it can change."""

import json
import os
import re
import secrets
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import harness
from harness import Server, hostile, memory
from harness.booted_server import make_key
from harness.listing import listing
from harness.ssh_access import one_login, run
from harness.visitors import Site, visitors
from harness.world import App, at_server, straight, wait_until
from teal_host.ground.paths import AppPaths
from teal_host.supervisors.unit_text import Unit, unit_text
from teal_host.wire.app import Sandbox

PROBER = Path(__file__).parents[1] / "apps/prober.py"
TO_THE_LETTER = (
    *("a  b", " x ", "", "-", "--", "--port=1", "100% %i %n %%", "$HOME ${PATH} $$ $(id) `id`", "'single' \"double\""),
    *("back\\slash \\n", "new\nline\n", "tab\t", ";|&><*?[x]~!#", "ünïcode ✓", "{", "{}", "=", "\x01\x7f"),
)
LETTERS = {f"LETTER_{number}": text for number, text in enumerate(TO_THE_LETTER)}
ALLOWED = {
    "writable": ["/srv/uploads"],
    "capabilities": ["CAP_NET_BIND_SERVICE"],
    "system_calls": ["@resources"],
    "memory_mb": 256,
    "tasks": 64,
    "open_files": 1024,
}
BOUNDED = {"memory_mb": 256, "tasks": 64}
ONE = {"Host": "one.test"}
HOSTILE_S = float(os.environ.get("TEAL_HOSTILE_S", "0"))  # one round of the attacks at least


@dataclass(frozen=True)
class Inside:
    """`app_one` is hostile and has a bounded sandbox; `app_two` is its neighbour, and uses every key of [sandbox]."""

    server: Server
    app_one: App
    app_two: App

    def tells(self, app: str = "one") -> Any:
        return self._ask(app, None)

    def tries(self, codes: dict[str, str], app: str = "one") -> dict[str, Any]:
        results = self._ask(app, json.dumps(codes).encode())
        assert isinstance(results, dict)
        return results

    def _ask(self, app: str, body: bytes | None) -> Any:
        request = urllib.request.Request(f"http://{self.server.address}/", body, {"Host": f"{app}.test"})
        straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with straight.open(request, timeout=60) as answer:
            return json.loads(answer.read())

    def main_processes(self, app: str) -> str:
        """The processes of both colors, and how often systemd has started them."""
        names = "--property=MainPID,InvocationID,NRestarts"
        return run(self.server, "systemctl", "show", names, *(f"teal-{app}@{color}" for color in ("blue", "green")))

    def attacked(self, secret: str) -> int:
        """One round of all attacks of `app_one`, whose program may be ended for one. None gets anything."""
        pids = [int(word) for word in re.findall(r"MainPID=(\d+)", self.main_processes("two"))]
        pids += map(int, run(self.server, "pgrep", "-x", "nginx|sshd|systemd").split())
        ports = [self.app_two.status()["colors"][color]["port"] for color in ("blue", "green")]
        attacks = hostile.attacks(0.3, pids, ports, secret)
        for name, code in attacks.items():
            with self._limits(), suppress(OSError, HTTPException, ValueError):  # it may be ended in the middle
                assert self.tries({name: code}) == {name: []}
            wait_until(self._one_answers, pause_s=0.2)
        for answer in hostile.ANSWERS.values():
            with suppress(OSError, HTTPException):
                straight(f"http://{self.server.address}/raw?{quote(answer, encoding='latin-1')}", None, ONE).close()
        return len(attacks) + len(hostile.ANSWERS)

    @contextmanager
    def _limits(self) -> Iterator[None]:
        """The limits of the unit, by this machine's controllers, where the server's systemd has none to use."""
        asked = ("--value", "--property=MainPID,MemoryMax,TasksMax", f"teal-one@{self.tells()['color']}")
        main, memory_max, tasks = map(int, run(self.server, "systemctl", "show", *asked).split())
        if memory.why_not():
            yield
            return
        with (
            memory.little_memory(self.server, [main], memory_max >> 20),
            memory.few_tasks(self.server, [main], tasks),
        ):
            yield

    def _one_answers(self) -> bool:
        with suppress(OSError, HTTPException, ValueError):
            return bool(self.tells()["message"] == "ok")
        return False

    def files(self) -> dict[str, str]:
        return listing(self.server.root, ("/usr/bin", "/usr/lib", "/usr/sbin", "/usr/share", "/var/lib/dpkg"))


@pytest.fixture(scope="module")
def inside(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    work = tmp_path_factory.mktemp("inside")
    with harness.server(debian, work, packages=["nginx", "sudo"]) as server, one_login(server) as login:
        admin = at_server(work / "admin", server, login)
        made = Inside(server, admin.app("one"), admin.app("two"))
        make_key(work / "two.key", "ci")
        (server.root / "srv/uploads").mkdir()
        for app in (made.app_one, made.app_two):
            app.config(
                server={"domains": [f"{app.name}.test"]},
                run={"command": ["./program", *TO_THE_LETTER], "env": LETTERS, "data": True},
                verify={"json": None, "path": None},
                health={"path": "/"},
                sandbox=ALLOWED if app is made.app_two else BOUNDED,
            )
            (app.directory / "program").write_text("#!/usr/bin/python3\n" + PROBER.read_text())
            app.teal("setup", *(["--deploy-key", f"{work}/two.key.pub"] if app is made.app_two else [])).ok()
            app.deploy().ok()
            with (app.directory / "program").open("a") as file:
                file.write("# the second\n")
            app.deploy().ok()  # now both colors run, green is live
        server.run("chown", "teal-two:", "/srv/uploads")
        for app in (made.app_one, made.app_two):  # as if the deploy key had been used
            (server.root / f"var/lib/teal/{app.name}/audit").touch(0o600)
        yield made


def test_arguments_and_environment_arrive_to_the_letter(inside: Inside) -> None:
    process = inside.tells()
    assert tuple(process["argv"][1:]) == TO_THE_LETTER
    assert {name: process["env"].get(name) for name in LETTERS} == LETTERS
    assert "CREDENTIALS_DIRECTORY" not in process["env"]


HOME, OTHER, DATA = "/var/lib/teal/one", "/var/lib/teal/two", "/var/lib/two"
WRITES = (
    *(f"{HOME}/{name}" for name in ("live/x", "live/green", "blue/blue", "green/green", "blue/x", "blue/start.json")),
    *(f"{HOME}/{name}" for name in ("journal", "lock", "audit", "x", "records/x", "releases/x", "releases/{own}/x")),
    *(f"{HOME}/{name}" for name in ("releases/{own}/program", "releases/{other}/program", "records/{own}.json")),
    *(f"{OTHER}/{name}" for name in ("x", "lock", "audit", "journal", "blue/start.json", "live/x", "releases/x")),
    *("/etc/x", "/etc/passwd", "/etc/teal/one/app.json", "/etc/teal/two/app.json", "/etc/teal/x", "/etc/cron.d/x"),
    *("/etc/systemd/system/teal-one@.service", "/etc/systemd/system/x.service", "/run/systemd/system/x.service"),
    *("/etc/nginx/conf.d/teal-one.conf", "/etc/nginx/conf.d/x.conf", "/etc/sudoers.d/x", "/var/lib/teal/.lock"),
    *("/var/lib/teal/.ssh/authorized_keys", "/var/lib/teal/x", "/var/lib/x", f"{DATA}/x", "/usr/x", "/usr/bin/x"),
    *("/usr/local/lib/teal/teal-host", "/usr/local/bin/x", "/root/x", "/home/x", "/srv/x", "/srv/uploads/x", "/opt/x"),
    *("/boot/x", "/run/x", "/var/log/x", "/var/log/nginx/access.log", "/var/spool/x", "/x"),
    *("/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger", "/sys/kernel/uevent_helper"),
    *("/sys/fs/cgroup/x", "/sys/fs/cgroup/cgroup.procs", "/dev/mem", "/dev/kmsg", "/dev/x"),
)
READS = (
    *(f"{HOME}/{name}" for name in ("journal", "lock", "audit", "records/{own}.json", "green/start.json")),
    *(f"{OTHER}/{name}" for name in ("journal", "lock", "audit", "records/{two}.json", "green/start.json")),
    *(f"{OTHER}/releases/{{two}}/program", f"{OTHER}/live/release/program", "/var/lib/teal/.lock"),
    *("/etc/teal/one/app.json", "/etc/teal/one/footprint.json", "/etc/teal/one/secrets", "/etc/teal/two/app.json"),
    *("/etc/teal/two/secrets", "/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/sudoers.d/teal-two"),
    *("/etc/ssh/ssh_host_ed25519_key", "/var/lib/teal/.ssh/authorized_keys", "/root/.ssh/authorized_keys"),
    *("/proc/{pid}/environ", "/proc/{pid}/mem", "/proc/{pid}/maps", "/proc/{pid}/cmdline", "/proc/1/environ"),
    *("/run/credentials/teal-two@green.service/start", "/proc/{pid}/root/etc/passwd", "/proc/kcore"),
)
INVISIBLE = ("/proc/", "/run/credentials/", "/etc/teal/one/secrets", "/etc/teal/two/secrets")  # or does not exist yet
LISTS = ("/root", "/home", f"{OTHER}/releases", DATA, "/var/lib/teal/.ssh", "/run/credentials/teal-two@green.service")


@pytest.mark.row("S23", "S26")
def test_sandbox_denies_reading_and_writing_files_of_others(inside: Inside) -> None:
    before = inside.files()
    names = {
        "own": inside.tells()["env"]["RELEASE"],
        "other": (inside.server.root / "var/lib/teal/one/blue/release").readlink().name,
        "two": inside.tells("two")["env"]["RELEASE"],
        "pid": inside.tells("two")["pid"],
    }
    tries = {f"write {path}": f"open({path.format(**names)!r}, 'ab', 0).write(b'x')" for path in WRITES}
    tries |= {f"read {path}": f"told = repr(open({path.format(**names)!r}, 'rb', 0).read(9))" for path in READS}
    tries |= {f"list {path}": f"import os; told = repr(os.listdir({path!r}))" for path in LISTS}
    results = inside.tries(tries)
    denied = ("PermissionError", "OSError: [Errno 30]", "FileNotFoundError", "IsADirectoryError")
    assert {name: how for name, how in results.items() if not str(how).startswith(denied)} == {}
    missing = {
        name.split()[1] for name, how in results.items() if str(how).startswith("FileNotFound") and "read" in name
    }
    assert {path for path in missing if not path.startswith(INVISIBLE)} == set()
    after = inside.files()
    assert [path for path in before | after if before.get(path) != after.get(path)] == []


SYSCALL = "import ctypes, os\nc = ctypes.CDLL(None, use_errno=True)\nr = {call}\n"
SYSCALL += "if r == -1: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))"
VM_READ = "c.process_vm_readv({pid}, (p := (ctypes.c_size_t * 2)(id(c), 8)), 1, p, 1, 0)"
CALLS = {
    "see it": "open('/proc/{pid}/stat')",
    "kill it": "import os; os.kill({pid}, 9)",
    "ask whether it is there": "import os; os.kill({pid}, 0)",
    "trace it": SYSCALL.replace("{call}", "c.ptrace(16, {pid}, 0, 0)"),
    "read its memory": SYSCALL.replace("{call}", VM_READ),
    "hold its descriptors": SYSCALL.replace("{call}", "c.syscall(438, c.syscall(434, {pid}, 0), 0, 0)"),
    "mount": SYSCALL.replace("{call}", "c.mount(b'none', b'/tmp', b'tmpfs', 0, None)"),
    "unmount": SYSCALL.replace("{call}", "c.umount2(b'/etc', 2)"),
    "a user namespace": SYSCALL.replace("{call}", "c.unshare(0x10000000)"),
    "a mount namespace": SYSCALL.replace("{call}", "c.unshare(0x20000)"),
    "a clone in a namespace": SYSCALL.replace("{call}", "c.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)"),
    "become root": "import os; os.setuid(0)",
    "become its group": "import os; os.setgid(0)",
    "become another": "import os; os.setresuid(1, 1, 1)",
    "join groups": "import os; os.setgroups([0])",
    "a raw socket": "import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "a packet socket": "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "a vsock": "import socket; socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)",
    "a port below 1024": "import socket; socket.create_server(('127.0.0.1', 81))",
    "a module": SYSCALL.replace("{call}", "c.syscall(175, b'x', 1, b'')"),
    "a module from a file": SYSCALL.replace("{call}", "c.syscall(313, 0, b'', 0)"),
    "the clock": "import time; time.clock_settime(time.CLOCK_REALTIME, time.time() + 3600)",
    "the name of the machine": "import socket; socket.sethostname('pwned')",
    "chroot": "import os; os.chroot('/tmp')",
    "a device": "import os, stat; os.mknod(os.environ['DATA_DIR'] + '/x', 0o600 | stat.S_IFBLK, os.makedev(8, 0))",
    "a setuid file": "import os; p = os.environ['DATA_DIR'] + '/s'; open(p, 'w'); os.chmod(p, 0o4755)",
    "its own release": "import os; os.chmod('program', 0o755)",
    "rename the link": "import os; os.symlink('blue', '/tmp/l'); os.rename('/tmp/l', '/var/lib/teal/one/live')",
    "real time": "import os; os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
    "a higher priority": "import os; os.nice(-5)",
    "to be spared": "open('/proc/self/oom_score_adj', 'wb', 0).write(b'-1000')",
    "reboot": SYSCALL.replace("{call}", "c.reboot(0)"),
    "swap": SYSCALL.replace("{call}", "c.swapon(b'/x', 0)"),
    "bpf": SYSCALL.replace("{call}", "c.syscall(321, 0, None, 0)"),
    "performance events": SYSCALL.replace("{call}", "c.syscall(298, None, 0, -1, -1, 0)"),
    "another personality": SYSCALL.replace("{call}", "c.personality(0x0040000)"),
    "quotas": SYSCALL.replace("{call}", "c.quotactl(0, None, 0, None)"),
    "the kernel's log": SYSCALL.replace("{call}", "c.klogctl(3, None, 0)"),
}
PROGRAM = (
    "import subprocess\nr = subprocess.run({argv!r}, capture_output=True, text=True, errors='replace', timeout=20)\n"
)
PROGRAM += "if r.returncode: raise PermissionError(r.stderr)\ntold = r.stdout"
PROGRAMS: dict[str, list[str]] = {
    "start a unit": ["systemctl", "start", "teal-two@blue.service"],
    "stop a unit": ["systemctl", "stop", "teal-two@green.service"],
    "stop itself": ["systemctl", "stop", "teal-one@green.service"],
    "reload nginx": ["systemctl", "reload", "nginx.service"],
    "change a unit": ["systemctl", "set-property", "--runtime", "teal-one@green.service", "TasksMax=9999"],
    "read units again": ["systemctl", "daemon-reload"],
    "a unit of its own": ["systemd-run", "id"],
    "systemd's own bus": ["busctl", "--address=unix:path=/run/systemd/private", "list"],
    "reboot": ["systemctl", "reboot"],
    "sudo": ["sudo", "-n", "id"],
    "sudo of the deploy key": ["sudo", "-n", "/usr/local/lib/teal/teal-host", "--server"],
    "su": ["su", "-c", "id"],
    "the server side": ["/usr/local/lib/teal/teal-host", "--server", "--app", "two", "--key", "00"],
    "at boot": ["systemctl", "enable", "teal-one@blue.service"],
}


@pytest.mark.row("S22")
def test_sandbox_denies_calls_and_programs_that_affect_others_or_the_machine(inside: Inside) -> None:
    before = inside.files()
    neighbor = inside.tells("two")["pid"]
    tries = {name: code.replace("{pid}", str(neighbor)) for name, code in CALLS.items()}
    tries |= {f"program: {name}": PROGRAM.format(argv=argv) for name, argv in PROGRAMS.items()}
    results = inside.tries(tries)
    denied = ("PermissionError", "ProcessLookupError", "OSError", "FileNotFoundError", "BlockingIOError")
    assert {name: how for name, how in results.items() if not str(how).startswith(denied)} == {}
    assert inside.tells("two")["pid"] == neighbor
    assert inside.app_one.status()["live"] == inside.app_two.status()["live"] == "green"
    after = inside.files()
    changed = [path for path in before | after if before.get(path) != after.get(path)]
    assert changed == ["/var/lib/one/s"]  # an ordinary file of the app


@pytest.mark.row("S23")
def test_sandbox_hides_the_log_of_others(inside: Inside) -> None:
    inside.server.run("sh", "-c", "echo of-two | systemd-cat -t two")
    results = inside.tries({"log": PROGRAM.format(argv=["sh", "-c", "journalctl --no-pager || true"])})
    assert "of-two" not in results["log"]


MAPPED = "import mmap; m = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC); m[0] = 1"
SQLITE = "import os, sqlite3; d = sqlite3.connect(os.environ['DATA_DIR'] + '/db')\nd.execute('pragma journal_mode=wal')"
GRANTED = {
    "its data": "import os; open(os.environ['DATA_DIR'] + '/kept', 'w').write('x')",
    "a directory in it": "import os; os.makedirs(os.environ['DATA_DIR'] + '/a/b', exist_ok=True)",
    "its own /tmp": "open('/tmp/mine', 'w').write('x'); open('/var/tmp/mine', 'w').write('x')",
    "its release": "told = open('program').readline()",
    "another connection": "import socket; told = socket.create_connection(('127.0.0.1', 22), 5).recv(4).decode()",
    "names": "import socket; told = socket.getaddrinfo('localhost', 80)[0][4][0]",
    "its interfaces": "import socket; told = len(socket.if_nameindex())",
    "processes": PROGRAM.format(argv=["sh", "-c", "echo $((6 * 7))"]),
    "threads": "import threading; t = threading.Thread(target=lambda: 0); t.start(); t.join()",
    "code that it makes": MAPPED,
    "SQLite": SQLITE,
    "memory of the machine": "told = open('/proc/meminfo').readline()[:3]",
    "random": "import os; told = len(os.urandom(8))",
}


def test_sandbox_grants_what_a_program_needs(inside: Inside) -> None:
    results = inside.tries(GRANTED)
    assert {name: how for name, how in results.items() if "Error" in str(how)} == {}
    assert (results["another connection"], results["processes"]) == ("SSH-", "42\n")
    assert results["its release"] == "#!/usr/bin/python3\n"
    for folder in ("tmp/mine", "var/tmp/mine"):
        assert not (inside.server.root / folder).exists()
    data = inside.server.root / "var/lib/one/kept"
    assert oct(data.stat().st_mode)[-3:] == "600"


AGREED = {
    "writable": "open('/srv/uploads/x', 'w').write('x')",
    "capabilities": "import socket; socket.create_server(('127.0.0.1', 81)).close()",
    "system_calls": "import os; os.setpriority(os.PRIO_PROCESS, 0, 1)",
    "open_files": "import resource; told = resource.getrlimit(resource.RLIMIT_NOFILE)[1]",
    "no other capability": "told = [l for l in open('/proc/self/status') if l.startswith('CapEff')][0].split()[1]",
    "no other place": "import os; told = os.access('/srv', os.W_OK)",
}


@pytest.mark.row("S22")
def test_sandbox_grants_exactly_what_was_agreed(inside: Inside) -> None:
    results = inside.tries(AGREED, "two")
    assert {name: how for name, how in results.items() if "Error" in str(how)} == {}
    assert (results["open_files"], int(results["no other capability"], 16), results["no other place"]) == (
        1024,
        1 << 10,
        False,
    )
    shown = inside.server.run("systemctl", "show", "teal-two@green.service", "-p", "MemoryMax,TasksMax").stdout
    assert set(shown.split()) == {"MemoryMax=268435456", "TasksMax=64"}


@pytest.mark.row("S24")
def test_app_cannot_open_the_lock_and_so_blocks_no_rollback(inside: Inside) -> None:
    """A process that can open a lock file can hold the lock."""
    hold = "import fcntl; f = open('/var/lib/teal/{app}/lock'); fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB); h = [f]"
    results = inside.tries({app: hold.replace("{app}", app) for app in ("one", "two")})
    assert all(how.startswith("PermissionError") for how in results.values())
    assert inside.app_one.teal("rollback", "--json").ok().result["outcome"] == "live"


@pytest.mark.row("S20", "S40", "S42")
@pytest.mark.timeout(600 + 2 * HOSTILE_S)
def test_hostile_app_takes_nothing_from_its_neighbour_under_load(inside: Inside, counted: Callable[..., None]) -> None:
    """At 768eec4 the neighbour's ports could be taken while it was down (tests/server/test_ports.py)."""
    secret, release = secrets.token_hex(16), inside.tells("two")["env"]["RELEASE"]
    neighbour = Site(
        "two.test", lambda body: json.loads(body)["env"]["RELEASE"] == release, takes_post=False, cookie=f"id={secret}"
    )
    before, began, done = inside.main_processes("two"), time.monotonic(), 0
    with visitors(inside.server, [neighbour]) as seen:
        while not done or time.monotonic() < began + HOSTILE_S:
            done += inside.attacked(secret)
        seen.wait_for_requests()
    counted(attacks=done, seconds=round(time.monotonic() - began), requests=seen.tally.asked.total())
    assert seen.tally.lost == 0, seen.tally.failures
    assert inside.main_processes("two") == before
    inside.app_two.teal("doctor").ok()


FILL = """
import os
with open(os.environ["DATA_DIR"] + "/filler", "wb", 0) as file:
    while True:
        file.write(bytes(1 << 20))
"""


@pytest.mark.row("S41")
def test_app_whose_disk_is_full_stops_no_other_and_no_command(inside: Inside) -> None:
    """An admin gives each app a file system of its own, as docs/explanation/security.md says."""
    uid, gid = (run(inside.server, "id", which, "teal-one").strip() for which in ("-u", "-g"))
    quota = f"size=4m,mode=700,uid={uid},gid={gid}"
    run(inside.server, "mount", "-t", "tmpfs", "-o", quota, "tmpfs", "/var/lib/one")
    try:
        assert inside.tries({"fill": FILL})["fill"].startswith("OSError: [Errno 28]")
        assert inside.tries({"write": GRANTED["its data"]}, "two") == {"write": "done"}
        for app in (inside.app_one, inside.app_two):
            assert app.deploy().ok().result["outcome"] in ("live", "unchanged")
    finally:
        run(inside.server, "umount", "-l", "/var/lib/one")


UNITS = {
    "defaults": Sandbox(),
    "everything": Sandbox(
        ("/srv/uploads", "/srv/more"),
        ("CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_NICE"),
        ("@resources", "memfd_create"),
        memory_mb=256,
        tasks=64,
        open_files=1024,
    ),
}
SYSTEMD = {12: 252, 13: 257}


@pytest.mark.row("S34")
def test_unit_passes_the_verification_and_security_analysis_of_systemd(server: Server) -> None:
    """With the systemd of each Debian."""
    scores = {}
    for name, sandbox in UNITS.items():
        app = f"shop-{name}"
        paths = AppPaths(Path("/"), app)
        text = unit_text(
            Unit(paths, "teal-shop", sandbox, Path("/usr/local/lib/teal/teal-host"), SYSTEMD[server.debian])
        )
        (server.root / str(paths.unit).lstrip("/")).write_text(text)
        verified = server.run("systemd-analyze", "verify", str(paths.unit))
        assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
        judged = server.run("systemd-analyze", "security", "--offline=true", "--threshold=20", str(paths.unit))
        assert judged.returncode == 0, judged.stdout[-400:]
        scores[name] = re.findall(r"exposure level for .*: ([0-9.]+)", judged.stdout)
    page = (Path(__file__).parents[2] / "docs/explanation/security.md").read_text()
    assert scores["defaults"] == re.findall(rf"([0-9.]+)(?: of 10)? on Debian {server.debian}\b", page)
