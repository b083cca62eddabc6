"""`teal setup` lets a deploy key in for one app and takes it away; the last key takes all made for keys along."""

from pathlib import Path

import pytest

from harness.keyed import Keyed, answers, frame
from harness.machine import make_key
from teal_host.wire.grammar import public_key
from teal_host.wire.messages import (
    Status,
)

HOSTILE_KEYS = {
    "an option before it": 'command="id" {key}',
    "a quote in its comment": '{key} x" ALL',
    "a line break": "{key}\n{other}",
    "a line break and a rule": "{key}\nteal ALL=(ALL) NOPASSWD: ALL",
    "a backslash": "{key} \\",
    "a per cent sign": "{key} %h",
    "an exclamation mark": "{key} !x",
    "a number sign": "{key} #x",
    "a tab": "ssh-ed25519\t{packed}",
    "a certificate": "ssh-ed25519-cert-v01@openssh.com {packed}",
    "another type than it says": "ssh-rsa {packed}",
    "cut": "ssh-ed25519 {cut}",
    "not a key": "ssh-ed25519 " + "A" * 64,
    "a signature of everybody": "cert-authority {key}",
    "nothing": "",
}


@pytest.mark.parametrize("name", list(HOSTILE_KEYS))
def test_setup_refuses_a_key_file_that_is_not_just_a_public_key(there: Keyed, tmp_path: Path, name: str) -> None:
    """By the client, and by the server side, which trusts no client."""
    make_key(tmp_path / "key", "plain")
    kind, packed, comment = (tmp_path / "key.pub").read_text().split()
    parts = {"key": f"{kind} {packed} {comment}", "packed": packed, "cut": packed[:47], "other": f"{kind} {packed}"}
    text = HOSTILE_KEYS[name].format(**parts)
    (tmp_path / "hostile.pub").write_text(text)
    refused = there.one.teal("setup", "--deploy-key", str(tmp_path / "hostile.pub"))
    assert refused.code == 3
    assert "not an OpenSSH public key" in refused.err
    assert public_key(text)


def test_deploy_key_of_an_app_is_refused_for_another_app(there: Keyed) -> None:
    with there.unchanged():
        refused = there.two.teal("setup", "--deploy-key", f"{there.key('one')}.pub")
    assert refused.code == 3
    assert f"the key {there.fingerprint()} deploys one already" in refused.err
    assert "ssh-keygen" in refused.err


def test_setup_changes_nothing_when_repeated_for_an_app_with_a_deploy_key(there: Keyed) -> None:
    with there.unchanged():
        assert "nothing to do" in there.one.teal("setup").ok().out
        assert "nothing to do" in there.two.teal("setup", "--deploy-key", f"{there.key('two')}.pub").ok().out


def test_setup_notices_a_deploy_key_that_was_removed_by_hand(there: Keyed) -> None:
    path = there.server.root / "var/lib/teal/.ssh/authorized_keys"
    before = path.read_text()
    path.write_text("".join(line for line in before.splitlines(True) if "--app one" not in line))
    refused = there.one.teal("setup")
    assert (refused.code, "edited by hand" in refused.err) == (2, True)
    assert "--app one" not in path.read_text()
    assert there.ssh().returncode == 255
    there.one.teal("setup", "--yes").ok()
    assert path.read_text() == before


def test_second_deploy_key_is_added_and_removed(there: Keyed) -> None:
    make_key(there.key("second"), "the second of one")
    before = there.files()
    there.one.teal("setup", "--deploy-key", f"{there.key('second')}.pub").ok()
    assert there.says(frame(Status("one")), key="second")[-1]["type"] == "statusreport"
    assert there.audit()[-1]["key"] == there.fingerprint("second")
    with there.open(key="second") as waiting:
        would = there.one.teal("setup", "--remove-key", f"{there.key('second')}.pub", "--dry-run").ok()
        assert f"let the key {there.fingerprint('second')} deploy one no more" in would.err
        there.one.teal("setup", "--remove-key", f"{there.key('second')}.pub").ok()
        heard, _ = waiting.communicate(frame(Status("one")), timeout=30)
    (told,) = answers(heard)
    assert (told["code"], "no more" in told["message"]) == ("not_allowed", True)
    assert there.audit()[-1]["ended"].startswith("not_allowed")
    assert there.ssh(key="second").returncode == 255
    assert there.says(frame(Status("one")))[-1]["type"] == "statusreport"
    after = there.files()
    changed = {path for path in before | after if before.get(path) != after.get(path)}
    assert changed <= {"/etc/teal/one/footprint.json"}
    unknown = there.one.teal("setup", "--remove-key", there.fingerprint("second"))
    assert (unknown.code, "nothing to remove" in unknown.err) == (3, True)


def test_last_deploy_key_takes_everything_made_for_keys_along_even_while_it_is_in_use(there: Keyed) -> None:
    before = there.files()
    for app in (there.two, there.one):
        with there.open(key=app.name):
            app.teal("setup", "--remove-key", there.fingerprint(app.name)).ok()
        assert there.ssh(key=app.name).returncode == 255
    assert there.server.run("getent", "passwd", "teal").returncode != 0
    assert not (there.server.root / "var/lib/teal/.ssh").exists()
    assert list(there.server.root.glob("etc/sudoers.d/teal*")) == []
    for app in (there.one, there.two):
        app.teal("setup", "--deploy-key", f"{there.key(app.name)}.pub").ok()
    told = there.files()
    volatile = ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/teal/", "/etc/sub", "/etc/.pwd")
    changed = {path for path in before | told if before.get(path) != told.get(path)}
    mine = ("/var/lib/teal/two/audit", "/var/lib/teal/.ssh")  # who was in has left a line; the user is another number
    assert {path for path in changed if not path.startswith(volatile)} <= {*mine}


def test_destroy_removes_an_app_while_its_deploy_key_is_in_use(there: Keyed) -> None:
    with there.open(key="two"):
        there.two.teal("destroy", "-y").ok()
    assert there.ssh(key="two").returncode == 255
    assert there.says(frame(Status("one")))[-1]["type"] == "statusreport"
