"""A cut revocation is finished by the same command, and the footprint of another app does not stand in its way."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from teal_host.ground import lock
from teal_host.ground.errors import BadRequest, CannotRun, Locked
from teal_host.ground.paths import HostPaths
from teal_host.preparations import account, deploy_key
from teal_host.preparations.base import KeyIntent
from teal_host.state import footprint, key_places
from teal_host.state.deploy_keys import DeployKey
from teal_host.state.footprint import Footprint
from teal_host.stories import setup

STAYS, STOLEN, OTHER = (f"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{letter * 43}" for letter in "ABC")


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostPaths:
    """Two apps with their keys let in."""
    made = HostPaths(tmp_path)
    monkeypatch.setattr(account, "find", lambda user: object())
    monkeypatch.setattr(account, "directory", lambda paths, folder: ())
    monkeypatch.setattr(deploy_key, "_checked", lambda rule: rule.write())
    keys = {"shop": (DeployKey(STAYS), DeployKey(STOLEN)), "other": (DeployKey(OTHER),)}
    deploy_key.authorized(made).parent.mkdir(parents=True)
    deploy_key.authorized(made).write_text(deploy_key.authorized_text(made, keys))
    for app, of_app in keys.items():
        footprint.save(made.app(app), Footprint().with_keys(of_app))
        deploy_key.sudo_rule(made, app).parent.mkdir(parents=True, exist_ok=True)
        deploy_key.sudo_rule(made, app).write_text(deploy_key.sudo_text(made, app, of_app))
    return made


def revoke(host: HostPaths, key: str) -> None:
    """As `teal setup --remove-key` does it."""
    app: Any = SimpleNamespace(host=SimpleNamespace(paths=host), name="shop", paths=host.app("shop"))
    intent = KeyIntent(app, footprint.load(host.app("shop")), no_key=DeployKey(key).fingerprint)
    for change in list(deploy_key.changes(intent)):
        change.do()


def lines(host: HostPaths) -> list[str]:
    """The keys that sshd lets in."""
    text = deploy_key.authorized(host).read_text()
    return [key for key in (STAYS, STOLEN, OTHER) if key in text]


@pytest.mark.hint("the same command again")
@pytest.mark.row("S6")
def test_revocation_that_was_cut_is_finished_by_the_same_command(
    host: HostPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 768eec4 the same command said that there is nothing to remove, and the server sides of the key went on."""
    with monkeypatch.context() as first:
        first.setattr(key_places, "_held", lambda host, key: [(host.root, 7)])
        first.setattr(key_places, "_ENDS_WITHIN_S", -1.0)
        with pytest.raises(CannotRun, match="do not end") as stopped:
            revoke(host, STOLEN)
    assert stopped.value.hint == "the same command again"
    assert lines(host) == [STAYS, STOLEN, OTHER]
    ended: list[str] = []
    monkeypatch.setattr(key_places, "end_all", lambda host, key: ended.append(key))
    revoke(host, STOLEN)
    assert ended == [DeployKey(STOLEN).word]
    assert lines(host) == [STAYS, OTHER]
    assert DeployKey(STOLEN).word not in deploy_key.sudo_rule(host, "shop").read_text()
    for key in (STOLEN, OTHER):
        with pytest.raises(BadRequest, match="nothing to remove"):
            revoke(host, key)


@pytest.mark.parametrize("broken", ["{", '{"format": 99}'])
@pytest.mark.row("S6")
def test_revocation_needs_no_footprint_of_another_app(host: HostPaths, broken: str) -> None:
    """At 768eec4 no key of any app could be revoked while one footprint could not be read."""
    host.app("other").footprint.write_text(broken)
    revoke(host, STOLEN)
    assert lines(host) == [STAYS, OTHER]
    revoke(host, STAYS)
    assert lines(host) == [OTHER]
    assert not deploy_key.sudo_rule(host, "shop").exists()


def test_key_is_revoked_while_the_setup_of_another_app_is_at_work(
    host: HostPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the file of all keys waits for it. At 768eec4 the key went on until the other setup had ended."""
    ended: list[str] = []
    monkeypatch.setattr(key_places, "end_all", lambda host, key: ended.append(key))
    monkeypatch.setattr(lock, "SHARED_WAIT_S", 0.1)
    stolen = DeployKey(STOLEN)
    app: Any = SimpleNamespace(host=SimpleNamespace(paths=host), name="shop", paths=host.app("shop"))
    request: Any = SimpleNamespace(no_key=stolen.fingerprint, key=None)
    with lock.shared(host, "other", "setup"), pytest.raises(Locked, match="other@this host"):
        setup._change_keys(app, request, setup.planned(app, request))
    assert ended == [stolen.word]
    assert footprint.load(host.app("shop")).deploy_keys == (DeployKey(STAYS),)
    revoke(host, STOLEN)
    assert lines(host) == [STAYS, OTHER]
