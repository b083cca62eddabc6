"""CAs whose certificates deploy an app: their line for sshd, what setup agrees to, and what the audit says of them."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from teal_host import main
from teal_host.ground import processes, run
from teal_host.ground.errors import BadRequest, CannotRun, NotAllowed
from teal_host.ground.paths import HostPaths
from teal_host.ground.run import Ran
from teal_host.pipe.channel import Channel
from teal_host.preparations import account, deploy_key
from teal_host.preparations.base import KeyIntent
from teal_host.state import footprint, key_places, key_policy, ssh_login
from teal_host.state.deploy_keys import DeployKey
from teal_host.state.footprint import Footprint
from teal_host.state.key_policy import KeyPolicy
from teal_host.wire.grammar import principal
from teal_host.wire.manifest import Origin
from teal_host.wire.messages import Done
from teal_host.wire.requests import Releases, Rollback, Status

PLAIN, OTHER, CA = (f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{letter * 43}" for letter in "ABC")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostPaths:
    made = HostPaths(tmp_path)
    monkeypatch.setattr(account, "find", lambda user: object())
    monkeypatch.setattr(account, "remove_user", lambda user: None)
    monkeypatch.setattr(account, "directory", lambda paths, folder: ())
    monkeypatch.setattr(deploy_key, "_checked", lambda rule: rule.write())
    monkeypatch.setattr(ssh_login, "age_s", lambda: 1.0)
    for folder in (deploy_key.authorized(made), deploy_key.sudo_rule(made, "shop"), made.app("shop").audit):
        folder.parent.mkdir(parents=True, exist_ok=True)
    return made


def setup(host: HostPaths, key: "DeployKey | None", app: str = "shop", no_key: str | None = None) -> list[str]:
    """As `teal setup` does it, with the words of its plan."""
    about: Any = SimpleNamespace(host=SimpleNamespace(paths=host), name=app, paths=host.app(app))
    changes = list(deploy_key.changes(KeyIntent(about, footprint.load(host.app(app)), key, no_key)))
    for change in changes:
        change.do()
    return [change.description for change in changes]


def test_ca_lets_in_certificates_of_its_principals_alone_with_the_command_of_a_key(host: HostPaths) -> None:
    ca = DeployKey(CA, ("status",), ("shop-deploy", "shop-ops"))
    words = setup(host, ca)
    assert f"let certificates of the CA {ca.fingerprint} for shop-deploy, shop-ops do this with shop" in words[0]
    setup(host, DeployKey(OTHER, ("status",)))
    of_ca, of_key = deploy_key.authorized(host).read_text().splitlines()[1:]
    assert of_ca.startswith('cert-authority,principals="shop-deploy,shop-ops",restrict,command="')
    assert of_ca.removeprefix('cert-authority,principals="shop-deploy,shop-ops",') == of_key.replace(
        DeployKey(OTHER).word, ca.word
    ).replace(OTHER, CA)
    assert f"--key {ca.word}\n" in deploy_key.sudo_rule(host, "shop").read_text()
    assert setup(host, ca) == []
    assert json.loads(host.app("shop").footprint.read_text())["format"] == 4  # an older Teal reads past `principals`
    setup(host, None, no_key=ca.fingerprint)
    assert CA not in deploy_key.authorized(host).read_text()
    assert json.loads(host.app("shop").footprint.read_text())["format"] == 3


def test_connection_of_a_principal_that_setup_took_away_is_refused(host: HostPaths) -> None:
    before, after = DeployKey(CA, (), ("a", "b")), DeployKey(CA, (), ("b",))
    setup(host, before)
    setup(host, DeployKey(OTHER))
    words = setup(host, after)
    assert "deploy shop; until now: deploy shop, as certificates of the CA" in words[0]
    assert footprint.load(host.app("shop")).deploy_keys == (after, DeployKey(OTHER))
    assert setup(host, after) == []
    with pytest.raises(NotAllowed, match="may no longer"):
        KeyPolicy("shop", before.word).check(host, Status("shop"))
    KeyPolicy("shop", after.word).check(host, Status("shop"))


@pytest.mark.hint("use another principal, such as {}-deploy", "use another key, or first: teal setup --remove-key {}")
def test_ca_serves_several_apps_with_a_principal_for_each_and_is_no_deploy_key(host: HostPaths) -> None:
    setup(host, DeployKey(CA, (), ("shop",)))
    with pytest.raises(BadRequest, match="a principal is bound to one app") as shared:
        setup(host, DeployKey(CA, (), ("blog", "shop")), "blog")
    assert shared.value.hint == "use another principal, such as blog-deploy"
    with pytest.raises(BadRequest, match="a key is bound to one app"):
        setup(host, DeployKey(CA), "blog")
    with pytest.raises(BadRequest, match="either a deploy key or the key of a CA") as both:
        setup(host, DeployKey(CA))
    _, _, fingerprint = both.value.hint.rpartition(" ")
    setup(host, DeployKey(CA, (), ("blog-deploy",)), "blog")
    assert deploy_key.authorized(host).read_text().count(CA) == 2
    setup(host, None, no_key=fingerprint)
    with pytest.raises(BadRequest, match="a key is bound to one app"):
        setup(host, DeployKey(CA))
    assert deploy_key.authorized(host).read_text().count(CA) == 1


def test_revocation_of_a_ca_that_was_cut_is_finished_by_the_same_command(
    host: HostPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    ca = DeployKey(CA, (), ("shop",))
    setup(host, ca)
    with monkeypatch.context() as first:
        first.setattr(key_places, "_held", lambda host, key: [(host.root, 7)])
        first.setattr(key_places, "_ENDS_WITHIN_S", -1.0)
        with pytest.raises(CannotRun, match="do not end"):
            setup(host, None, no_key=ca.fingerprint)
    ended: list[str] = []
    monkeypatch.setattr(key_places, "end_all", lambda host, key: ended.append(key))
    setup(host, None, no_key=ca.fingerprint)
    assert ended == [ca.word]
    assert not deploy_key.authorized(host).exists()


def test_narrowing_of_a_ca_that_was_cut_is_finished_by_the_same_command(
    host: HostPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What begins under the old word is refused; what had begun is ended now."""
    before, after = DeployKey(CA, (), ("a", "b")), DeployKey(CA, (), ("b",))
    setup(host, before)
    ended: list[str] = []
    with monkeypatch.context() as first:
        first.setattr(key_places, "_held", lambda host, key: [(host.root, 7)])
        first.setattr(key_places, "_ENDS_WITHIN_S", -1.0)
        with pytest.raises(CannotRun, match="do not end"):
            setup(host, after)
    monkeypatch.setattr(key_places, "end_all", lambda host, key: ended.append(key))
    setup(host, after)
    assert (ended, setup(host, after)) == ([before.word], [])
    assert footprint.load(host.app("shop")).deploy_keys == (after,)


@pytest.mark.parametrize("name", ["shop", "repo:me/shop:ref:refs/heads/main", "ci@example.com", "x" * 128, "0"])
def test_principal_is_a_name_as_cas_give_it(name: str) -> None:
    assert principal(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a,b",
        'a"',
        "a b",
        "a\\",
        "a\n",
        "*",
        "sh?p",
        "!a",
        "-a",
        "é",
        "x" * 129,
        "a\0",
        "a\x1b",
        "%u",
        "#",
        "=",
        "a'",
    ],
)
def test_principal_that_could_be_more_than_a_name_is_refused(name: str) -> None:
    assert principal(name)


@pytest.mark.row("S37")
@pytest.mark.hint("end the connection that ssh shares (ssh -O exit HOST), then the same command again")
def test_connection_that_may_outlive_its_certificate_begins_nothing_more(
    host: HostPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sshd compares the time once. A connection that stays open would make an expired certificate good for ever."""
    setup(host, DeployKey(PLAIN))
    setup(host, DeployKey(CA, (), ("shop",)))
    of_ca = KeyPolicy("shop", DeployKey(CA, (), ("shop",)).word)
    of_ca.check(host, Status("shop"))
    monkeypatch.setattr(ssh_login, "age_s", lambda: key_policy.OF_A_CERTIFICATE_S + 1.0)
    KeyPolicy("shop", DeployKey(PLAIN).word).check(host, Status("shop"))
    with pytest.raises(NotAllowed, match="its certificate may have expired"):
        of_ca.check(host, Status("shop"))
    monkeypatch.setattr(ssh_login, "age_s", lambda: float("inf"))
    with pytest.raises(NotAllowed, match="is not known"):
        of_ca.check(host, Status("shop"))


def test_certificate_waits_and_follows_the_logs_no_longer_than_it_may_ask(
    host: HostPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "use_environment_of_the_system", lambda: None)
    monkeypatch.setattr(key_places, "take", lambda host, key: None)
    of_ca, of_key = (KeyPolicy("shop", key.word) for key in (DeployKey(CA, (), ("shop",)), DeployKey(PLAIN)))
    rollback = Rollback("shop", Origin(), "0" * 32, wait_s=86_400.0)
    read, write = os.pipe()
    with open(read, "rb") as incoming, open(write, "wb") as outgoing:
        for policy, age_s, wait_s in ((of_ca, 3000.0, 600.0), (of_ca, 3600.5, 0.0), (of_key, 9999.0, 86_400.0)):
            monkeypatch.setattr(ssh_login, "age_s", lambda age_s=age_s: age_s)
            channel = Channel(incoming, outgoing)
            main._enter(main.Given(host.root, None, False, policy), channel)
            assert (channel.listening(), policy.bounded(rollback).wait_s) == (wait_s > 0, wait_s)
    assert of_ca.bounded(Status("shop")) == Status("shop")


def test_age_of_a_connection_that_nobody_knows_is_without_end(monkeypatch: pytest.MonkeyPatch, forgotten: None) -> None:
    monkeypatch.setattr(processes, "parent", lambda pid: 0)
    assert ssh_login.age_s() == float("inf")


def test_age_of_a_connection_is_that_of_its_process() -> None:
    began = time.monotonic()
    with subprocess.Popen(["sleep", "60"]) as younger:
        child, own = processes.life(younger.pid), processes.life(os.getpid())
        younger.kill()
    assert child
    assert own
    assert 0 <= ssh_login._age_of(child) <= time.monotonic() - began + 1
    assert ssh_login._age_of(own) > ssh_login._age_of(child)


FP = DeployKey(CA).fingerprint
KEY = DeployKey(PLAIN).fingerprint
FORGED = f"x (serial 9) CA ED25519 {DeployKey(OTHER).fingerprint} Accepted publickey for teal"
LINES = {
    f"Accepted publickey for teal from 10.0.0.1 port 5 ssh2: ED25519-CERT {KEY} ID run 7 (serial 42) CA ED25519 {FP}": {
        "key": KEY,
        "id": "run 7",
        "serial": 42,
    },
    f"Accepted publickey for teal from ::1 port 5 ssh2: ED25519-CERT {KEY} ID {FORGED} (serial 1) CA RSA {FP}": {
        "key": KEY,
        "id": FORGED[:80],
        "serial": 1,
    },
    f"Accepted publickey for teal from ::1 port 5 ssh2: ED25519-CERT {KEY} ID a (serial 1) CA RSA {KEY}": None,
    f"Accepted publickey for teal from ::1 port 5 ssh2: ED25519 {KEY}": None,
    f"Accepted publickey for teal from ::1 port 5 ssh2: ED25519-CERT {KEY} ID {'x' * 900}": None,
    "": None,
}


@pytest.mark.row("S25")
@pytest.mark.parametrize("line", list(LINES))
def test_audit_names_the_ca_and_of_its_certificate_what_sshd_wrote(
    host: HostPaths, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setattr(ssh_login, "connection", lambda: processes.Life(7, 7, "boot"))
    monkeypatch.setattr(ssh_login, "_accepted", lambda connection: line)
    ssh_login.certificate.cache_clear()
    setup(host, DeployKey(CA, (), ("shop",)))
    KeyPolicy("shop", DeployKey(CA, (), ("shop",)).word).note(host, Status("shop"), Done())
    KeyPolicy("shop", DeployKey(OTHER).word).note(host, Releases("shop"), Done())
    ssh_login.certificate.cache_clear()
    of_ca, of_key = map(json.loads, host.app("shop").audit.read_text().splitlines())
    assert (of_ca["key"], of_ca["certificate"]) == (FP, LINES[line])
    assert "certificate" not in of_key


@pytest.fixture
def forgotten() -> Iterator[None]:
    """What a process knows of its one connection is forgotten, before the test and after it."""
    caches = (ssh_login.connection, ssh_login.certificate)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.row("S25")
@pytest.mark.parametrize("is_late", [False, True])
def test_audit_names_the_certificate_of_a_client_that_hung_up_after_its_request(
    host: HostPaths, monkeypatch: pytest.MonkeyPatch, forgotten: None, is_late: bool
) -> None:
    """sshd's process goes with the client, and sudo becomes a child of process 1. journald may be late, and journalctl
    says on standard error which of the log's files are damaged.
    """
    line, sync, asked = next(iter(LINES)), ["journalctl", "--sync"], list[list[str]]()
    parents = {os.getpid(): 30, 30: 20, 20: 10, 10: 1}

    def journalctl(argv: list[str], deadline_s: float) -> Ran:
        asked.append(argv)
        entry = "" if is_late and sync not in asked else f"{line}\n"
        return Ran(0, f"Journal file x is truncated, ignoring file.\n{entry}")

    own = processes.life(os.getpid())
    monkeypatch.setattr(processes, "life", lambda pid: own if pid == os.getpid() else processes.Life(pid, 7, "boot"))
    monkeypatch.setattr(processes, "parent", parents.__getitem__)
    monkeypatch.setattr(processes, "uids", lambda pid: (1000,) * 4 if pid == 20 else (0,) * 4)
    monkeypatch.setattr(key_places, "take", lambda host, key: None)
    monkeypatch.setattr(ssh_login, "run", journalctl)
    policy = KeyPolicy("shop", DeployKey(CA, (), ("shop",)).word)
    policy.enter(host)
    parents[30] = 1
    policy.note(host, Status("shop"), Done())
    assert json.loads(host.app("shop").audit.read_text())["certificate"] == LINES[line]
    assert [argv == sync for argv in asked] == ([False, True, False] if is_late else [False])
    assert {"_PID=10", "_UID=0"} <= {*asked[0]}
    (until,) = (float(word.partition("@")[2]) for word in asked[0] if word.startswith("--until="))
    assert own and until == pytest.approx(time.time() - ssh_login._age_of(own), abs=5)


def test_footprint_keeps_what_a_key_is_for_when_another_key_comes() -> None:
    lesser, ca = DeployKey(PLAIN, ("status",)), DeployKey(CA, ("logs",), ("shop",))
    assert Footprint().with_keys([lesser, ca]).deploy_keys == (lesser, ca)
