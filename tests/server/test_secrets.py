"""A canary on its way from teal.toml and `teal env` to the program: who else sees it, on either side?

The test watches everything that runs on this machine and on the server while commands run, with umask 0 on the server.
"""

import base64
import os
import secrets
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import harness
from harness import Server
from harness.booted_server import make_key
from harness.deploy_keys import KeyedServer
from harness.world import App, Ended, at_server, wait_until

WORD = f"canary{secrets.token_hex(12)}"
VALUE = f'{WORD} "%i" $HOME/+\n{WORD}'
FORMS = tuple(
    text.encode()
    for text in (
        WORD,
        base64.b64encode(VALUE.encode()).decode()[:40],
        WORD[::-1],
        WORD.upper(),
    )
)


@dataclass
class Seen:
    """Where somebody could have read the canary. `looks` counts how often the test looked."""

    argv: set[str] = field(default_factory=set)
    open_files: set[str] = field(default_factory=set)
    looks: int = 0


@contextmanager
def watched(server: Server) -> Iterator[Seen]:
    seen, over, older = Seen(), threading.Event(), set(os.listdir("/proc"))

    def look() -> None:
        while not over.is_set():
            seen.argv |= argv_with_it(older)
            seen.open_files |= {
                f"{stat.st_mode:o} {path}" for path, stat in holders(server) if stat.st_mode & 0o077 or stat.st_uid
            }
            seen.looks += 1
            time.sleep(0.002)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def argv_with_it(older: set[str]) -> set[str]:
    """The command lines of new processes with the canary, on both sides: this machine also sees those of the server."""
    lines_with_it = set()
    for pid in filter(str.isdigit, set(os.listdir("/proc")) - older):
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if any(form in line for form in FORMS):
            lines_with_it.add(line.decode(errors="replace"))
    return lines_with_it


def holders(
    server: Server, folders: tuple[str, ...] = ("etc/teal", "var/lib/teal")
) -> Iterator[tuple[str, os.stat_result]]:
    """The files of the server that contain the canary now."""
    for folder in folders:
        for directory, _, names in os.walk(server.root / folder):
            for name in names:
                path = Path(directory, name)
                try:
                    if path.is_file() and not path.is_symlink() and holds(path.read_bytes()):
                        yield f"/{path.relative_to(server.root)}", path.stat()
                except OSError:  # the file has just gone
                    continue


def holds(data: bytes) -> bool:
    return any(form in data for form in FORMS)


@dataclass(frozen=True)
class Story:
    server: Server
    app: App
    seen: Seen
    ended: dict[str, Ended]


@pytest.fixture(scope="module")
def story(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """An app that was deployed, refused, deployed with a key, queried and rolled back."""
    work = tmp_path_factory.mktemp("secrets")
    with harness.server(debian, work, packages=["nginx", "sudo"]) as server:
        admin = at_server(work / "admin", server)
        app = admin.app("one")
        app.config(run={"env": {"TOKEN": VALUE}, "data": True})
        keyed = KeyedServer(server, admin, app, app)
        make_key(keyed.key(), "ci")
        (server.root / "root/.bashrc").write_text("umask 0\n")
        assert server.ssh("umask").stdout == "0000\n"
        with watched(server) as seen:
            ended = dict(commands(keyed))
        yield Story(server, app, seen, ended)


def commands(keyed: KeyedServer) -> Iterator[tuple[str, Ended]]:
    app, ci = keyed.app_one, keyed.ci()
    yield "setup", app.teal("setup", "-v", "--deploy-key", f"{keyed.key()}.pub").ok()
    yield from set_in_env(app)
    yield "deploy", app.deploy("-v").ok()
    app.program(version="v2", exits=3)
    yield "refused", app.deploy("-v")
    app.program(version="v3", health=500)
    app.config(run={"env": {"TOKEN": VALUE}, "data": True}, health={"deadline_s": 1})
    yield "unhealthy", app.teal("deploy", "-v")
    app.program(version="v4")
    yield "with a key", ci.teal("deploy", "--json", cwd=app.directory, TEAL_TARGET=ci.target).ok()
    for looking in ("status", "releases", "logs", "deploy --dry-run", "rollback", "setup --dry-run"):
        yield looking, app.teal(*looking.split(), "--json", "-v").ok()


def set_in_env(app: App) -> Iterator[tuple[str, Ended]]:
    """Sets the same value through `teal env`, if the command exists."""
    if app.teal("env", "--help").code:
        return
    argv = app.world.argv("env", "set", "KEPT")
    env = {"cwd": app.directory, "env": app.world.env}
    done = subprocess.run(argv, input=VALUE, capture_output=True, text=True, timeout=120, check=True, **env)  # type: ignore[call-overload]
    yield "env set", Ended(done.returncode, done.stdout, done.stderr)
    yield "env list", app.teal("env", "list", "--json").ok()


def test_secret_reaches_the_program_and_the_watch_would_see_a_leak(story: Story) -> None:
    assert story.app.get("/env")["TOKEN"] == VALUE
    if "env set" in story.ended:
        assert story.app.get("/env")["KEPT"].rstrip() == VALUE
    assert story.seen.looks > 100
    with watched(story.server) as seen:
        path = story.server.root / "var/lib/teal/leak"
        path.write_text(WORD)
        with subprocess.Popen(["sleep", "60", "--", WORD], stderr=subprocess.DEVNULL) as leak:
            wait_until(lambda: bool(seen.argv or leak.poll() is not None) and bool(seen.open_files))
            leak.kill()
        path.unlink()
    assert {line.split()[1] for line in seen.open_files} == {"/var/lib/teal/leak"}


@pytest.mark.row("S26")
def test_secret_is_never_in_an_argument_on_either_side(story: Story) -> None:
    assert story.seen.argv == set()


@pytest.mark.row("S26")
def test_secret_is_never_in_a_file_that_another_user_can_read(story: Story) -> None:
    assert story.seen.open_files == set()


@pytest.mark.row("S26")
def test_secret_is_in_no_output_of_teal(story: Story) -> None:
    """Not even when a deploy is refused and its evidence is shown."""
    assert (story.ended["refused"].code, story.ended["unhealthy"].code) == (6, 6)
    outputs = {name: (ended.out + ended.err).encode() for name, ended in story.ended.items()}
    assert [name for name, text in outputs.items() if holds(text)] == []


ASKED = {
    "the system's log": ["journalctl", "--no-pager", "--all", "-o", "export"],
    "what systemd knows of the unit": ["systemctl", "show", "teal-one@blue.service", "teal-one@green.service"],
    "the unit": ["systemctl", "cat", "teal-one@blue.service"],
    "its status": ["systemctl", "status", "--no-pager", "--full", "teal-one@blue.service", "teal-one@green.service"],
    "systemd's environment": ["systemctl", "show-environment"],
    "what is kept in memory": ["sh", "-c", "cat $(find /run /tmp /dev/shm -xdev -type f) 2>&1"],
    "as anybody": ["runuser", "-u", "nobody", "--", "sh", "-c", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>&1"],
}


@pytest.mark.parametrize("name", list(ASKED))
@pytest.mark.row("S26")
def test_secret_is_in_no_output_of_the_system(story: Story, name: str) -> None:
    output = story.server.run("sh", "-c", f"{shlex.join(ASKED[name])} | tr -cd '[:print:]\\n'").stdout
    assert len(output) > 20
    assert not holds(output.encode())


@pytest.mark.row("S26")
def test_secret_is_on_the_disk_only_in_files_of_root(story: Story) -> None:
    """Searches all files except the programs of the distribution."""
    folders = tuple(path.name for path in story.server.root.iterdir() if path.is_dir() and path.name not in NO_FILES)
    stats = dict(holders(story.server, (*folders, "usr/local")))
    assert {path: f"{stat.st_mode:o} {stat.st_uid}" for path, stat in stats.items()} == dict.fromkeys(stats, "100600 0")
    assert {kind(path) for path in stats} <= KNOWN
    assert {"start.json", "records"} <= {kind(path) for path in stats}


NO_FILES = ("dev", "proc", "sys", "usr", "bin", "sbin", "lib", "lib64")
KNOWN = {"start.json", "records", "secrets"}


def kind(path: str) -> str:
    parts = Path(path).parts
    return "records" if "records" in parts else "secrets" if "secrets" in parts else parts[-1]
