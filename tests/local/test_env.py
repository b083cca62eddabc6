"""`teal env` as a user sees it: set before a deploy, live after the deploy, back after a rollback, never shown."""

import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.background import in_background, repeated
from harness.world import App, wait_until

CANARY = "S3CR3T-cañary-5c7e"
WATCHED = "W4TCHED-cañary-5c7e"  # no other test may type it: the arguments of every process are looked through
ODD = "line one\nline two\n\ttab ' \" \\ $HOME `id` é€😀 = \x01"


def put(app: App, name: str, value: str) -> None:
    app.teal("env", "set", name, stdin=value).ok()


def seen(app: App, name: str) -> object:
    return app.get("/env").get(name)


def test_env_set_works_before_the_first_deploy(app: App) -> None:
    ended = app.teal("env", "set", "TOKEN", stdin="one\n").ok()
    assert ended.out == "TOKEN is set; it takes effect with the next: teal deploy\n"
    app.deploy().ok()
    assert seen(app, "TOKEN") == "one"


def test_destroy_removes_a_secret_that_was_set_before_any_deploy(app: App) -> None:
    put(app, "TOKEN", "one")
    app.teal("destroy", "-y").ok()
    assert not list(app.world.root.rglob("*"))


def test_changed_secret_makes_a_new_release_without_an_upload(app: App) -> None:
    put(app, "A", "1")
    app.deploy().ok()
    put(app, "A", "2")
    assert seen(app, "A") == "1", "it is not live before the deploy"
    second = app.deploy().ok()
    assert second.result["outcome"] == "live"
    assert any("nothing to send" in line.get("detail", "") for line in second.lines)
    assert seen(app, "A") == "2"
    assert app.deploy().ok().result["outcome"] == "unchanged"
    put(app, "A", "3")
    assert app.deploy("--dry-run").ok().result["plan"] != ["nothing: it is live"]
    put(app, "A", "2")
    assert app.deploy().ok().result["outcome"] == "unchanged", "what is set back is no change"
    app.teal("env", "unset", "A").ok()
    assert app.deploy().ok().result["outcome"] == "live"
    assert seen(app, "A") is None
    words = [row["env"] for row in app.releases()]
    assert len(set(words)) == 3


@pytest.mark.parametrize("still_runs", [True, False], ids=["runs", "stopped"])
def test_rollback_restores_the_secrets_that_the_release_ran_with(app: App, still_runs: bool) -> None:
    app.config(keep={"previous_running": still_runs})
    for version in ("1", "2"):
        put(app, "A", version)
        app.program(version=version)
        app.deploy().ok()
    app.teal("env", "unset", "A").ok()
    app.teal("rollback").ok()
    assert (app.get()["version"], seen(app, "A")) == ("1", "1")
    app.teal("rollback", "2").ok()
    assert (app.get()["version"], seen(app, "A")) == ("2", "2")


def test_prune_removes_the_secrets_of_a_pruned_release(app: App) -> None:
    app.config(keep={"releases": 2})
    for version in ("first", "second", "third"):
        put(app, "A", version)
        app.deploy().ok()
    stored = json.loads((app.world.root / "etc/teal/shop/secrets").read_text())
    assert {values["A"] for values in stored["versions"].values()} == {"second", "third"}


@pytest.mark.parametrize("value", ["", ODD, "x" * 32_768, "\n"], ids=["empty", "odd", "large", "newline"])
def test_secret_arrives_unchanged_at_the_program(app: App, value: str) -> None:
    app.teal("env", "set", "A", stdin=f"{value}\n").ok()
    app.deploy().ok()
    assert seen(app, "A") == value


@pytest.mark.parametrize(
    ("value", "reason"),
    [("a\0b", "NUL"), ("x" * 32_769, "longer than"), ("é" * 40_000, "longer than")],
    ids=["NUL", "long", "wide"],
)
def test_env_set_refuses_an_invalid_value_without_repeating_the_value(app: App, value: str, reason: str) -> None:
    refused = app.teal("env", "set", "A", stdin=value)
    assert (refused.code, refused.out) == (2, "")
    assert re.search(rf"the value of A .*{reason}", refused.err)
    assert value[:3] not in refused.err


@pytest.mark.parametrize(
    "words", [[f"A={CANARY}"], ["A", CANARY], [CANARY], ["A", f"--{CANARY}"], [f"--{CANARY}=A"]], ids=str
)
@pytest.mark.parametrize("command", ["set", "unset"])
def test_env_refuses_a_value_as_an_argument_without_repeating_the_value(
    app: App, command: str, words: list[str]
) -> None:
    refused = app.teal("env", command, *words)
    assert refused.code == 2
    assert "→ teal env" in refused.err
    assert "S3CR3T" not in refused.out + refused.err


def test_env_set_asks_for_the_value_on_a_terminal_and_does_not_show_it(app: App) -> None:
    master_fd, terminal_fd = pty.openpty()
    running = subprocess.Popen(
        app.world.argv("env", "set", "A"),
        cwd=app.directory,
        env=app.world.env,
        stdin=terminal_fd,
        stdout=terminal_fd,
        stderr=terminal_fd,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # the terminal becomes the controlling terminal
    )
    os.close(terminal_fd)
    screen = b""
    while b"Value of A" not in screen:
        screen += os.read(master_fd, 1024)
    os.write(master_fd, f"{CANARY}\n".encode())
    assert running.wait(60) == 0
    screen += os.read(master_fd, 4096)
    os.close(master_fd)
    assert b"A is set" in screen
    assert b"S3CR3T" not in screen
    app.deploy().ok()
    assert seen(app, "A") == CANARY


def test_variable_is_refused_when_both_teal_toml_and_teal_env_set_it(app: App) -> None:
    app.config(run={"env": {"A": "1"}})
    refused = app.teal("env", "set", "A", stdin="2")
    assert refused.code == 3
    assert "A is in [run] env of" in refused.err
    app.deploy().ok()
    app.config()
    moved = app.teal("env", "set", "A", stdin="2").ok()
    assert "the live release has A in [run] env" in moved.err
    app.config(run={"env": {"A": "1"}})
    for arguments in ((), ("--dry-run",)):
        twice = app.deploy(*arguments)
        assert (twice.code, twice.result["outcome"]) == (3, "refused")
        assert "both in [run] env of teal.toml and in teal env" in twice.result["error"]["message"]
        assert "teal env unset A" in twice.result["error"]["hint"]
    app.config()
    app.deploy().ok()
    assert seen(app, "A") == "2"


def test_env_is_refused_while_a_deploy_holds_the_lock(app: App) -> None:
    put(app, "A", "1")
    gate = app.world.home / "gate"
    app.program(version="v2", waits_for=str(gate))
    with in_background(app, "deploy", "--json") as deploying:
        deploying.wait_for(type="step", name="health", state="started")
        for command in (("set", "A"), ("unset", "A")):
            refused = app.teal("env", *command, stdin="2")
            assert refused.code == 8
            assert f"deploy (process {deploying.server_side()})" in refused.err
            assert "--wait" in refused.err
        gate.touch()
        deploying.ended().ok()
    app.teal("env", "set", "A", "--wait", "20", stdin="2").ok()


@pytest.mark.row("A15")
def test_damaged_secrets_file_stops_a_deploy_but_not_a_rollback(app: App) -> None:
    for version in ("1", "2"):
        put(app, "A", version)
        app.deploy().ok()
    secrets = app.world.root / "etc/teal/shop/secrets"
    secrets.write_text(secrets.read_text()[:50])
    for command in (("env", "list"), ("env", "set", "A"), ("deploy",)):
        stopped = app.teal(*command, stdin="3")
        assert stopped.code == 10
        assert "secrets cannot be read" in stopped.err
    assert len(secrets.read_text()) == 50
    app.teal("rollback").ok()
    assert seen(app, "A") == "1"


def test_secret_appears_in_no_argument_no_output_and_no_file_but_its_own(app: App) -> None:
    """The secret is in no argument on either side, in no output, and in no file but its own."""
    commands = []
    app.config(run={"data": True}, build={"command": ["true"]})
    with watched_arguments() as arguments:
        commands += [app.teal("env", "set", "A", "-v", stdin=WATCHED).ok()]
        commands += [app.deploy("-v").ok(), app.teal("env", "list", "--json").ok(), app.teal("env", "list").ok()]
        app.program(version="bad", exits=1)
        commands += [app.teal("deploy", "-v"), app.deploy()]
        app.config(run={"env": {"A": WATCHED}})
        commands += [app.deploy(), app.teal("deploy"), app.teal("env", "set", "A", stdin=WATCHED)]
        app.config()
        commands += [app.teal("env", "set", "B", stdin=f"{WATCHED}\0"), app.teal("env", "set", "A", stdin=WATCHED)]
        commands += [app.teal(command, "--json") for command in ("status", "releases", "logs")]
        commands += [app.teal("env", "unset", "A", "-v"), app.deploy("--dry-run")]
    assert arguments.samples > 20
    assert not [line for line in arguments.lines if b"W4TCHED" in line]
    assert not [ended for ended in commands if "W4TCHED" in ended.out + ended.err]
    assert {path.name for path in files_with(b"W4TCHED", app.world.root)} == {"secrets"}


def files_with(word: bytes, root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and word in path.read_bytes():
            assert path.stat().st_mode & 0o777 == 0o600
            yield path


@dataclass
class Watched:
    lines: set[bytes] = field(default_factory=set)
    samples: int = 0


@contextmanager
def watched_arguments() -> Iterator[Watched]:
    """Watches the arguments of every process of this machine."""
    watched = Watched()

    def look() -> None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                watched.lines.add(path.read_bytes())
        watched.samples += 1

    with repeated(look):
        wait_until(lambda: bool(watched.samples))
        yield watched
