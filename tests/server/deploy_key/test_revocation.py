"""A stolen deploy key can be taken out at any moment, and until then it wastes neither the lock nor the memory.

At 768eec4 each of these attacks succeeded: a revocation ended with exit 8 while the thief held the lock, a hundred
silent connections stayed for an hour, and a key's deploy asked for a watch of an hour and a thousand releases.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.background import repeated
from harness.booted_server import make_key
from harness.deploy_keys import KeyedServer, answers, deploy, frame
from harness.world import wait_until
from server.deploy_key.test_messages import new_id
from teal_host.state import key_places
from teal_host.wire.app import Health, Keep
from teal_host.wire.requests import Commit, Intended, Status
from teal_host.wire.uploads import Block, Part

Ssh = subprocess.Popen[bytes]


@pytest.fixture
def stolen(keyed: KeyedServer) -> Iterator[str]:
    """A second key of the app, which a thief has."""
    make_key(keyed.key("stolen"), "stolen")
    keyed.app_one.teal("setup", "--deploy-key", f"{keyed.key('stolen')}.pub").ok()
    yield "stolen"
    if keyed.fingerprint("stolen") in (keyed.server.root / "etc/teal/one/footprint.json").read_text():
        revoke(keyed)
    for path in (keyed.key("stolen"), Path(f"{keyed.key('stolen')}.pub")):
        path.unlink()


def revoke(keyed: KeyedServer) -> None:
    keyed.app_one.teal("setup", "--remove-key", keyed.fingerprint("stolen")).ok()


def send(ssh: Ssh, *frames: bytes) -> None:
    assert ssh.stdin
    for sent in frames:
        os.write(ssh.stdin.fileno(), sent)  # so that nothing stays in a buffer when the other end is gone


def holds_lock(keyed: KeyedServer) -> bool:
    return '"what": "deploy"' in (keyed.server.root / "var/lib/teal/one/lock").read_text()


def places(keyed: KeyedServer) -> int:
    """How many server sides keys have, by the kernel's word."""
    printed = keyed.server.run("sh", "-c", "stat -c '%d %i' /run/teal-keys/*").stdout.splitlines()
    numbers = [tuple(map(int, line.split())) for line in printed]
    mine = {f"{os.major(device):02x}:{os.minor(device):02x}:{inode}" for device, inode in numbers}
    rows = [line.split() for line in keyed.server.run("cat", "/proc/locks").stdout.splitlines()]
    return sum(row[5] in mine for row in rows if row[1] == "FLOCK")


@contextmanager
def dripping(ssh: Ssh) -> Iterator[None]:
    """An empty block of an upload now and then."""

    def drip() -> None:
        with suppress(OSError):
            send(ssh, frame(Block()))

    with repeated(drip, pause_s=0.2):
        yield


@pytest.mark.row("S6")
def test_revocation_ends_an_upload_of_the_key_that_would_hold_the_lock_for_ever(
    keyed: KeyedServer, stolen: str
) -> None:
    request = deploy(keyed.spec(), b"x" * 100_000, new_id())
    with keyed.open(key=stolen) as thief, keyed.open() as other:
        send(thief, frame(request), frame(Part(1, "plain")))
        with dripping(thief):
            wait_until(lambda: holds_lock(keyed))
            revoke(keyed)
            thief.wait(60)
        assert places(keyed) == 1
        heard, _ = other.communicate(frame(Status("one")), timeout=120)
    assert next(iter(answers(heard)))["type"] == "statusreport"
    assert keyed.app_one.deploy("--wait", "0").ok().result["outcome"] in ("live", "unchanged")


@pytest.mark.row("S6")
def test_revocation_ends_a_deploy_after_its_commit_and_recovers_what_it_left(keyed: KeyedServer, stolen: str) -> None:
    before = keyed.app_one.status()["live"]
    keyed.app_one.program(version="of the thief", health=500)
    content = (keyed.app_one.directory / "program").read_bytes()
    request = deploy(keyed.spec(), content, new_id())
    recorded = (frame(request), frame(Part(1, "plain")), frame(Block(True), content), frame(Commit()))
    with keyed.open(key=stolen) as thief:
        send(thief, *recorded)
        wait_until(lambda: '"start"' in (keyed.server.root / "var/lib/teal/one/journal").read_text().splitlines()[-1])
        done = keyed.app_one.teal("setup", "--remove-key", keyed.fingerprint("stolen")).ok()
        thief.wait(60)
    assert "an earlier command was interrupted" in done.err
    status = keyed.app_one.status()
    assert (status["live"], status["notes"]) == (before, [])
    idle = "green" if before == "blue" else "blue"
    assert status["colors"][idle]["state"] != "running"
    assert keyed.app_one.get("/", "one.test")["color"] == before
    assert request.id in (keyed.server.root / "var/lib/teal/one/journal").read_text()


@pytest.mark.row("S6")
def test_revocation_needs_nothing_else_to_be_well(keyed: KeyedServer, stolen: str) -> None:
    """The link is damaged, nginx is stopped, and teal.toml has a name of another app."""
    live = keyed.server.root / "var/lib/teal/one/live"
    target = live.readlink()
    live.unlink()
    live.symlink_to("nowhere")
    keyed.server.run("systemctl", "stop", "nginx")
    try:
        keyed.app_one.config(server={"domains": ["two.test"]}, run={"data": True, "env": {"SECRET": "of-one"}})
        revoke(keyed)
        assert keyed.ssh(key=stolen).returncode == 255
    finally:
        live.unlink()
        live.symlink_to(target)
        keyed.server.run("systemctl", "start", "nginx")
        keyed.app_one.config(server={"domains": ["one.test"]}, run={"data": True, "env": {"SECRET": "of-one"}})


MORE: dict[str, dict[str, Any]] = {
    "[keep] releases": {"keep": Keep(releases=1000)},
    "[keep] watch_s": {"keep": Keep(watch_s=3600)},
    "[keep] drain_s": {"keep": Keep(drain_s=3600)},
    "[health] deadline_s": {"health": Health(deadline_s=3600)},
}


@pytest.mark.hint("teal setup (as the server's admin), then the same command again")
@pytest.mark.row("S6", "S11")
def test_deploy_key_is_refused_longer_waits_and_more_releases_than_agreed(keyed: KeyedServer) -> None:
    for name, changes in MORE.items():
        spec = replace(keyed.spec(), **changes)
        for sent in (frame(Intended(spec)), frame(deploy(spec, b"x", new_id()))):
            failure = keyed.replies_to(sent)[-1]
            assert (failure["code"], name in failure["message"]) == ("config", True), failure
    keyed.app_one.config(
        server={"domains": ["one.test"]}, run={"data": True, "env": {"SECRET": "of-one"}}, keep={"releases": 6}
    )
    keyed.app_one.program(version="with six releases")
    assert "what a deploy key may ask for" in keyed.app_one.teal("setup").ok().err
    target = f"ssh://teal@{keyed.server.name}"
    keyed.ci().teal("deploy", cwd=keyed.app_one.directory, TEAL_TARGET=target).ok()


@pytest.mark.hint("the same command again, when one of them has ended")
@pytest.mark.row("S32")
def test_deploy_key_has_a_few_connections_and_the_admin_his_own(keyed: KeyedServer) -> None:
    with ExitStack() as silent, keyed.line():
        for _ in range(key_places.MOST):
            silent.enter_context(keyed.open("-S", str(keyed.server.directory / "one.line")))
        wait_until(lambda: places(keyed) == key_places.MOST)
        failure = keyed.replies_to(frame(Status("one")))[-1]
        assert (failure["code"], "connections to this server already" in failure["message"]) == ("not_allowed", True)
        assert keyed.app_one.status()["live"]
        assert keyed.replies_to(frame(Status("two")), key="two")[-1]["type"] == "statusreport"
    wait_until(lambda: keyed.replies_to(frame(Status("one")))[-1]["type"] == "statusreport")
