"""Programs of other people and of other compilers, from setup to a reboot, side by side on one server."""

import json
import os
import shutil
import threading
import urllib.error
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

import harness
from harness import Server, programs
from harness.pocketbase import NEW, OLD, Notes
from harness.ssh_access import one_login, run
from harness.tiny import tiny_app, write_tiny
from harness.world import REPO, App, World, at_server, straight, wait_until

# What each runtime needs of its sandbox. It prints what is refused.
NEEDS = """
import ctypes, fcntl, json, mmap, os, resource, socket, subprocess, threading
libc, refused, page = ctypes.CDLL(None, use_errno=True), [], 4096
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)

def mapped(fd, rights, flags):
    return libc.mmap(None, page, rights, flags, fd, 0) not in (None, ctypes.c_void_p(-1).value)

def call(*arguments):
    assert libc.syscall(*arguments) >= 0, os.strerror(ctypes.get_errno())

def jit():
    assert mapped(-1, 7, 0x22), "no page is writable and executable"

def made_executable():
    at = libc.mmap(None, page, 3, 0x22, -1, 0)
    assert libc.mprotect(ctypes.c_void_p(at), page, 5) == 0

def mapped_twice():
    fd = os.memfd_create("doublemapper")
    os.ftruncate(fd, page)
    assert mapped(fd, 3, 1) and mapped(fd, 5, 1)

def unpacks_and_runs(folder):
    path = folder + "/unpacked"
    subprocess.run(["cp", "/bin/true", path], check=True)
    subprocess.run([path], check=True)
    assert mapped(os.open(path, os.O_RDONLY), 5, 2)
    os.unlink(path)

def many_threads():
    gate = threading.Event()
    threads = [threading.Thread(target=gate.wait) for _ in range(200)]
    [thread.start() for thread in threads]
    gate.set()

def listens_beside(kind):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.environ["HOME" if kind else "TMPDIR"] + "/diagnostics")
        made.listen()

def locks():
    with open(os.environ["DATA_DIR"] + "/locked", "w+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        os.ftruncate(file.fileno(), page)
        mmap.mmap(file.fileno(), page).flush()

def more_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)

def reads():
    for path in ("/proc/meminfo", "/proc/cpuinfo", "/proc/self/maps", "/proc/self/cgroup", "/etc/resolv.conf"):
        open(path).read()
    os.listdir("/sys/fs/cgroup"), os.listdir("/sys/devices/system/cpu")

os.environ["TMPDIR"] = "/tmp"
TRIED = {
    "JIT: a page that is writable and executable": jit,
    "JIT: a page that becomes executable": made_executable,
    "JIT: memory that is mapped twice": mapped_twice,
    "unpacks into /tmp and runs it": lambda: unpacks_and_runs("/tmp"),
    "unpacks into HOME and runs it": lambda: unpacks_and_runs(os.environ["HOME"]),
    "200 threads": many_threads,
    "membarrier": lambda: call(324, 16, 0, 0),
    "inotify": lambda: call(294, 0),
    "networks": socket.if_nameindex,
    "a choice of processors": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
    "a socket in /tmp": lambda: listens_beside(0),
    "a socket in HOME": lambda: listens_beside(1),
    "locks and maps its data": locks,
    "as many files as the unit allows": more_files,
    "reads what garbage collectors ask": reads,
    "large memory that is reserved only": lambda: mmap.mmap(-1, 1 << 40, flags=0x4022),
}
for name, need in TRIED.items():
    try:
        need()
    except Exception as error:
        refused.append(f"{name}: {error!r}")
print(json.dumps(refused))
"""


@pytest.fixture(scope="module")
def shared_server(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with harness.server(debian, tmp_path_factory.mktemp("real"), packages=["nginx", "sudo"]) as server:
        yield server


@pytest.fixture
def world(shared_server: Server, tmp_path: Path) -> Iterator[World]:
    with one_login(shared_server) as login:
        yield at_server(tmp_path / "home", shared_server, login)


def test_pocketbase_keeps_its_data_over_versions_a_rollback_and_a_reboot(shared_server: Server, world: World) -> None:
    """PocketBase is the default site of its server."""
    app = world.app("notes")

    def as_the_app(arguments: Sequence[str]) -> None:
        program = f"/var/lib/teal/notes/{app.status()['live']}/release/pocketbase"
        run(shared_server, "runuser", "-u", "teal-notes", "--", program, *arguments, "--dir", "/var/lib/notes/db")

    notes = Notes(app, as_the_app)
    notes.choose(OLD)
    app.teal("setup").ok()
    notes.deploy(OLD)
    assert notes.served() == OLD
    notes.make()
    notes.note("written by the old one")

    notes.deploy(NEW)
    assert (notes.served(), notes.notes()) == (NEW, ["written by the old one"])
    notes.note("written by the new one")

    app.teal("rollback").ok()
    assert (notes.served(), notes.notes()) == (OLD, ["written by the old one", "written by the new one"])
    notes.note("written after the rollback")
    notes.note("and before the reboot")

    shared_server.reboot()
    wait_until(lambda: answers(app, "/api/health"))
    assert (notes.served(), len(notes.notes())) == (OLD, 4)
    app.teal("destroy", "-y").ok()


def test_static_c_program_deploys_and_rolls_back(shared_server: Server, world: World) -> None:
    app = tiny_app(world, "tiny", ["tiny.test"])
    app.teal("setup").ok()
    first = app.deploy().ok().result
    write_tiny(app, "v2")
    second = app.deploy().ok().result
    assert (second["color"], second["previous"]) == ("green", first["release"])
    assert app.get(host="tiny.test")["release"] == second["release"]
    app.teal("rollback").ok()
    assert app.get(host="tiny.test")["release"] == first["release"]
    assert second["artifact_bytes"] > second["bytes_sent"]
    app.teal("destroy", "-y").ok()


@pytest.mark.parametrize("name", programs.SAMPLES)
def test_program_of_any_compiler_has_what_it_needs_under_load(
    shared_server: Server, world: World, name: str, counted: Callable[..., None]
) -> None:
    """At 859ecac the sandbox refused a choice of processors, and .NET ended with "Failed to create CoreCLR"."""
    if name != "go" and "TEAL_PROGRAMS" not in os.environ:
        pytest.skip("needs a toolchain or large packages: TEAL_PROGRAMS=all runs it")
    sample, app = programs.SAMPLES[name], world.app(name)
    shutil.copytree(programs.made(name), app.directory / "dist")
    app.config(**{**sample.config, "server": {"domains": [f"{name}.test"]}})
    app.teal("setup").ok()
    app.deploy().ok()
    answers: list[int] = []
    with visits(f"http://{shared_server.address}{sample.path}", f"{name}.test", answers):
        (app.directory / "dist/version").write_text("v2")
        second = app.deploy().ok().result
    assert set(answers) == {sample.status}
    assert (second["outcome"], second["color"]) == ("live", "green")
    assert sample.answer in app.teal("exec", "--", *sample.exec).ok().out
    assert sample.first_line in app.teal("logs", "-n", "2000").ok().out
    assert app.teal("status").code == 0
    assert json.loads(app.teal("exec", "--", "python3", "-c", NEEDS).ok().out) == []
    counted(requests=len(answers))
    app.teal("destroy", "-y").ok()


@contextmanager
def visits(url: str, host: str, answers: list[int]) -> Iterator[None]:
    """Asks again and again, each time on a new connection, until the block ends. 0: there was no answer."""
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(0.02):
            try:
                with straight(url, headers={"Host": host}) as answer:
                    answers.append(answer.status)
            except urllib.error.HTTPError as error:
                answers.append(error.code)
            except OSError:
                answers.append(0)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_go_example_is_built_for_the_server(shared_server: Server, world: World) -> None:
    """The build command contains {goarch}, which the server's greeting fills in."""
    go = shutil.which("go") or shutil.which("go", path=str(REPO / ".venv/bin"))
    if go is None:
        pytest.skip("no Go toolchain: it comes with teal-deploy[demo]")
    app = world.app("bluegreen-demo")
    shutil.copytree(REPO / "examples/go", app.directory, dirs_exist_ok=True)
    toml = (REPO / "examples/go/teal.toml").read_text()
    assert 'GOARCH = "{goarch}"' in toml
    toml = toml.replace('target = "local"', f'target = "{world.target}"\ndomains = ["go.test"]')
    toml = toml.replace("http_port = 8080", "http_port = 80").replace("watch_s = 10", "watch_s = 0")
    (app.directory / "teal.toml").write_text(toml)
    app.teal("setup").ok()
    live = app.deploy(PATH=f"{Path(go).parent}:{world.env['PATH']}").ok().result
    assert live["outcome"] == "live"
    assert app.get("/status", host="go.test")["color"] == live["color"] == "blue"
    status = app.status()["colors"]["blue"]
    assert (status["state"], status["port"]) == ("running", 8081)
    app.teal("destroy", "-y").ok()


def answers(app: App, path: str) -> bool:
    try:
        return bool(app.get_raw(path))
    except OSError:
        return False
