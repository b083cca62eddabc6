"""`teal setup` authorizes a deploy key for one app and revokes it; the last key takes all traces of keys along."""

import subprocess
from pathlib import Path

import pytest

from harness.booted_server import make_key
from harness.deploy_keys import KeyedServer, frame
from harness.ssh_access import install
from hints.test_walks import printed, shell
from teal_host.wire.frames import PROTOCOL
from teal_host.wire.grammar import public_key
from teal_host.wire.requests import Status

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
@pytest.mark.row("S30")
def test_setup_refuses_a_key_file_that_is_not_just_a_public_key(keyed: KeyedServer, tmp_path: Path, name: str) -> None:
    """The client refuses the file, and so does the server side, which trusts no client."""
    make_key(tmp_path / "key", "plain")
    kind, packed, comment = (tmp_path / "key.pub").read_text().split()
    parts = {"key": f"{kind} {packed} {comment}", "packed": packed, "cut": packed[:47], "other": f"{kind} {packed}"}
    text = HOSTILE_KEYS[name].format(**parts)
    (tmp_path / "hostile.pub").write_text(text)
    refused = keyed.app_one.teal("setup", "--deploy-key", str(tmp_path / "hostile.pub"))
    assert refused.code == 3
    assert "not an OpenSSH public key" in refused.err
    assert public_key(text)


@pytest.mark.hint("ssh-keygen -t ed25519 -N '' -f {}", "ssh-keygen -y -f {} > {}", "name that: {}.pub")
def test_setup_hints_lead_from_a_key_file_that_is_not_there_to_the_key(keyed: KeyedServer, tmp_path: Path) -> None:
    key, public = tmp_path / "ci key", tmp_path / "ci key.pub"

    def hint(path: Path) -> str:
        refused = keyed.app_one.teal("setup", "--dry-run", "--deploy-key", str(path))
        assert refused.code == 3
        return refused.err.rpartition("→ ")[2].strip()

    def typed(command: str) -> None:
        assert command.startswith("ssh-keygen ")
        subprocess.run(["sh", "-c", command], check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    typed(hint(public))
    private, text = key.read_bytes(), public.read_text()
    public.unlink()
    typed(hint(public))
    assert (key.read_bytes(), public.read_text()) == (private, text)
    assert hint(key) == f"name that: {public}"
    key.unlink()
    assert hint(key) == f"name that: {public}"
    assert "let the key" in keyed.app_one.teal("setup", "--dry-run", "--deploy-key", str(public)).ok().err


@pytest.mark.hint("teal setup (as the server's admin); if that finds a newer Teal there, update this one")
def test_setup_hint_leads_a_key_from_a_server_side_of_another_teal_to_its_own(keyed: KeyedServer) -> None:
    install(keyed.server, PROTOCOL + 1)
    refused = keyed.ci().teal("status", cwd=keyed.app_one.directory, TEAL_TARGET=f"ssh://teal@{keyed.server.name}")
    assert (refused.code, "is of another version of Teal" in refused.err) == (4, True), refused
    words = refused.err.rpartition("→ ")[2].partition(" (as the server's admin); if that finds a newer Teal")[0].split()
    keyed.app_one.teal(*words[1:]).ok()
    keyed.ci().teal("status", cwd=keyed.app_one.directory, TEAL_TARGET=f"ssh://teal@{keyed.server.name}").ok()


@pytest.mark.hint("make another key: ssh-keygen -t ed25519 -f {}-deploy")
@pytest.mark.row("S30")
def test_deploy_key_of_an_app_is_refused_for_another_app(keyed: KeyedServer) -> None:
    with keyed.unchanged():
        refused = keyed.app_two.teal("setup", "--deploy-key", f"{keyed.key('one')}.pub")
    assert refused.code == 3
    assert f"the key {keyed.fingerprint()} deploys one already" in refused.err
    make = printed(refused, "make another key: ssh-keygen -t ed25519 -f {}-deploy").partition(": ")[2]
    assert make.startswith("ssh-keygen ")
    shell(keyed.app_two, f"{make} -N ''")  # an empty passphrase, as a person may type
    keyed.app_two.teal("setup", "--deploy-key", f"{make.split()[-1]}.pub").ok()
    keyed.app_two.teal("setup", "--remove-key", f"{make.split()[-1]}.pub").ok()


@pytest.mark.hint("log in as the server's admin for that")
def test_command_that_a_deploy_key_may_not_give_works_for_the_admin(keyed: KeyedServer) -> None:
    target = f"ssh://teal@{keyed.server.name}"
    refused = keyed.ci().teal("env", "list", cwd=keyed.app_one.directory, TEAL_TARGET=target)
    printed(refused, "log in as the server's admin for that")
    keyed.app_one.teal("env", "list").ok()


def test_setup_changes_nothing_when_repeated_for_an_app_with_a_deploy_key(keyed: KeyedServer) -> None:
    with keyed.unchanged():
        assert "nothing to do" in keyed.app_one.teal("setup").ok().out
        assert "nothing to do" in keyed.app_two.teal("setup", "--deploy-key", f"{keyed.key('two')}.pub").ok().out


def test_setup_notices_a_deploy_key_that_was_removed_by_hand(keyed: KeyedServer) -> None:
    path = keyed.server.root / "var/lib/teal/.ssh/authorized_keys"
    before = path.read_text()
    path.write_text("".join(line for line in before.splitlines(True) if "--app one" not in line))
    refused = keyed.app_one.teal("setup")
    assert (refused.code, "edited by hand" in refused.err) == (2, True)
    assert "--app one" not in path.read_text()
    assert keyed.ssh().returncode == 255
    keyed.app_one.teal("setup", "--yes").ok()
    assert path.read_text() == before


def test_second_deploy_key_is_added_and_removed(keyed: KeyedServer) -> None:
    make_key(keyed.key("second"), "the second of one")
    before = keyed.files()
    keyed.app_one.teal("setup", "--deploy-key", f"{keyed.key('second')}.pub").ok()
    assert keyed.replies_to(frame(Status("one")), key="second")[-1]["type"] == "statusreport"
    assert keyed.audit()[-1]["key"] == keyed.fingerprint("second")
    with keyed.open(key="second") as waiting:
        would = keyed.app_one.teal("setup", "--remove-key", f"{keyed.key('second')}.pub", "--dry-run").ok()
        assert f"revoke the key {keyed.fingerprint('second')}, which deploys one" in would.err
        revoked = keyed.app_one.teal("setup", "--remove-key", f"{keyed.key('second')}.pub").ok()
        assert revoked.out == f"the key {keyed.key('second')}.pub may no longer deploy one\n"
        assert waiting.wait(120) != 0
        assert waiting.stdout
        assert waiting.stdout.read() == b""  # no answer: it was killed
    assert keyed.ssh(key="second").returncode == 255
    assert keyed.replies_to(frame(Status("one")))[-1]["type"] == "statusreport"
    after = keyed.files()
    changed = {path for path in before | after if before.get(path) != after.get(path)}
    assert changed <= {"/etc/teal/one/footprint.json"}
    unknown = keyed.app_one.teal("setup", "--remove-key", keyed.fingerprint("second"))
    assert (unknown.code, "nothing to remove" in unknown.err) == (3, True)


def test_last_deploy_key_takes_everything_made_for_keys_along_even_while_it_is_in_use(keyed: KeyedServer) -> None:
    before = keyed.files()
    for app in (keyed.app_two, keyed.app_one):
        with keyed.open(key=app.name):
            app.teal("setup", "--remove-key", keyed.fingerprint(app.name)).ok()
        assert keyed.ssh(key=app.name).returncode == 255
    assert keyed.server.run("getent", "passwd", "teal").returncode != 0
    assert not (keyed.server.root / "var/lib/teal/.ssh").exists()
    assert list(keyed.server.root.glob("etc/sudoers.d/teal*")) == []
    for app in (keyed.app_one, keyed.app_two):
        app.teal("setup", "--deploy-key", f"{keyed.key(app.name)}.pub").ok()
    after = keyed.files()
    volatile = ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow", "/etc/teal/", "/etc/sub", "/etc/.pwd")
    changed = {path for path in before | after if before.get(path) != after.get(path)}
    # the client that was connected has left a line, and the new user has another UID
    mine = ("/var/lib/teal/two/audit", "/var/lib/teal/.ssh")
    assert {path for path in changed if not path.startswith(volatile)} <= {*mine}


def test_destroy_removes_an_app_while_its_deploy_key_is_in_use(keyed: KeyedServer) -> None:
    with keyed.open(key="two"):
        keyed.app_two.teal("destroy", "-y").ok()
    assert keyed.ssh(key="two").returncode == 255
    assert keyed.replies_to(frame(Status("one")))[-1]["type"] == "statusreport"
