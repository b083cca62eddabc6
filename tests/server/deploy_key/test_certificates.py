"""A certificate that the CA of an app has signed deploys that app until it expires, and does nothing else.

At 768eec4 setup knew no CA, and CI had only keys that are good until somebody revokes them.
"""

import shutil
import subprocess
from collections.abc import Iterator
from functools import partial

import pytest

from harness.booted_server import make_key
from harness.deploy_keys import SHELL, KeyedServer, at_once, deploy, frame
from harness.world import Ended, free_ports, wait_until
from hints.test_walks import printed
from server.deploy_key.test_forwards import reached
from server.deploy_key.test_messages import new_id
from server.deploy_key.test_revocation import dripping, holds_lock, places, send
from teal_host.wire.requests import Releases, Status
from teal_host.wire.uploads import Part

HOW = "teal setup --deploy-ca CA.pub --principal NAME"
VALID = ("-n", "one-ci", "-V", "+10m")


def sign(keyed: KeyedServer, name: str, *options: str, ca: str = "ca") -> str:
    """A certificate of the key of this name. `ssh` finds it beside the key."""
    make_key(keyed.key(name), name)
    argv = ["ssh-keygen", "-q", "-s", str(keyed.key(ca)), "-I", f"run of {name}", "-z", "42", *options]
    subprocess.run([*argv, f"{keyed.key(name)}.pub"], check=True, capture_output=True, timeout=60)
    return name


def setup(keyed: KeyedServer, *words: str) -> Ended:
    return keyed.app_one.teal("setup", "--deploy-ca", f"{keyed.key('ca')}.pub", *words)


@pytest.fixture(scope="module", autouse=True)
def ca(keyed: KeyedServer) -> Iterator[None]:
    make_key(keyed.key("ca"), "ca")
    make_key(keyed.key("other-ca"), "of somebody else")
    hint = printed(setup(keyed), HOW).split()
    assert hint[:3] == ["teal", "setup", "--deploy-ca"]
    plan = setup(keyed, hint[4], "one-ci").ok().err
    assert f"let certificates of the CA {keyed.fingerprint('ca')} for one-ci deploy one" in plan
    yield
    if keyed.fingerprint("ca") in (keyed.server.root / "etc/teal/one/footprint.json").read_text():
        keyed.app_one.teal("setup", "--remove-key", keyed.fingerprint("ca")).ok()


@pytest.mark.hint("teal setup --deploy-ca CA.pub --principal NAME")
def test_certificate_deploys_its_app_and_the_audit_names_the_ca_and_the_certificate(keyed: KeyedServer) -> None:
    sign(keyed, "run", *VALID)
    line = (
        f"Accepted publickey for teal from ::1 port 1 ssh2: ED25519-CERT x ID forged (serial 1) CA ED25519 {'x' * 50}"
    )
    keyed.as_teal("logger", "-t", "sshd", line)
    keyed.app_one.program(version="by a certificate")
    target = f"ssh://teal@{keyed.server.name}"
    done = keyed.ci("run").teal("deploy", "--json", cwd=keyed.app_one.directory, TEAL_TARGET=target).ok().result
    assert done["outcome"] == "live"
    lines = [entry for entry in keyed.audit() if entry["key"] == keyed.fingerprint("ca")]
    assert [entry["ended"] for entry in lines] == ["not yet", "live"]
    certificate = {"key": keyed.fingerprint("run"), "id": "run of run", "serial": 42}
    assert [entry["certificate"] for entry in lines] == [certificate] * 2


OF_NO_USE = {
    "expired": ("-n", "one-ci", "-V", "-2h:-1h"),
    "of-tomorrow": ("-n", "one-ci", "-V", "+1d:+2d"),
    "of-another-principal": ("-n", "one-ci2,two-ci,*", "-V", "+10m"),
    "of-no-principal": ("-V", "+10m"),
    "of-the-user": ("-n", "teal,root", "-V", "+10m"),
    "of-a-host": ("-h", *VALID),
    "with-a-command": (*VALID, "-O", "force-command=id; touch /tmp/pwned"),
    "from-elsewhere": (*VALID, "-O", "source-address=203.0.113.1/32"),
}


@pytest.mark.row("S37")
def test_certificate_that_does_not_fit_lets_nobody_in(keyed: KeyedServer) -> None:
    """Each try has an address of its own: sshd of Debian 13 closes its door to one that fails three times."""
    names = [sign(keyed, name, *options) for name, options in OF_NO_USE.items()]
    names += [sign(keyed, "of-another-ca", *VALID, ca="other-ca")]
    names += ["ca", "other-ca", sign(keyed, "good", *VALID)]  # a CA signs, and logs in nowhere itself
    inside = keyed.server.root / "root/certificates"
    inside.mkdir()
    try:
        for path in (file for name in names for file in keyed.server.directory.glob(f"{name}.key*")):
            shutil.copy(path, inside)
        with keyed.unchanged():
            done = at_once({name: partial(log_in, keyed, name, number) for number, name in enumerate(names, 2)})
    finally:
        shutil.rmtree(inside)
    assert "this key only deploys one, with teal" in done.pop("good")
    assert [name for name, errors in done.items() if "teal@127.0.0.1: Permission denied" not in errors] == []


def log_in(keyed: KeyedServer, name: str, number: int) -> str:
    """On the server itself, with a shell in mind. Returns what ssh says."""
    options = ["-F", "none", "-i", f"/root/certificates/{name}.key", "-b", f"127.0.0.{number}"]
    for option in ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "BatchMode=yes"):
        options += ["-o", option]
    ended = keyed.server.run("ssh", *options, "teal@127.0.0.1", "id; touch /tmp/pwned")
    assert (ended.returncode != 0, ended.stdout) == (True, "")
    return ended.stderr


@pytest.mark.row("S30", "S37")
def test_certificate_that_grants_everything_does_what_a_deploy_key_does(keyed: KeyedServer) -> None:
    """ssh-keygen grants a terminal and every forward, where it is not told otherwise."""
    sign(keyed, "all", *VALID)
    shown = subprocess.run(["ssh-keygen", "-Lf", f"{keyed.key('all')}-cert.pub"], capture_output=True, text=True)
    assert "permit-port-forwarding" in shown.stdout
    assert "permit-pty" in shown.stdout
    tries = {"command": ["--", "id"], "terminal": ["-tt", "--", "id"], "-W": ["-W", "127.0.0.1:80"], "-A": ["-A"]}
    with keyed.unchanged():
        done = at_once({name: partial(keyed.ssh, *tries[name], key="all", stdin=SHELL) for name in tries})
    assert {name: ended.returncode for name, ended in done.items()} == {
        "command": 1,
        "terminal": 255,
        "-W": 255,
        "-A": 1,
    }
    assert b"".join(ended.stdout for ended in done.values()) == b""
    assert done["command"].stderr.decode().splitlines()[-1] == "this key only deploys one, with teal"
    (port,) = free_ports(1)
    with keyed.open("-L", f"{port}:127.0.0.1:80", key="all"):
        assert reached(port, b"GET /healthz HTTP/1.0\r\n\r\n") == b""


def reply(keyed: KeyedServer, key: str, request: "Status | Releases") -> str:
    answer = keyed.replies_to(frame(request), key=key)[-1]
    return str(answer.get("code", answer["type"]))


@pytest.mark.row("S33", "S37")
def test_ca_has_a_tier_and_for_each_app_principals_of_its_own(keyed: KeyedServer) -> None:
    let_in = ("setup", "--deploy-ca", f"{keyed.key('ca')}.pub", "--principal", "two-ci", "--may", "status")
    keyed.app_two.teal(*let_in).ok()
    try:
        of_one, of_two = (sign(keyed, f"run-{app}", "-n", f"{app}-ci", "-V", "+10m") for app in ("one", "two"))
        asked: dict[str, tuple[str, Status | Releases]]
        asked = {"one": (of_one, Releases("one")), "two": (of_two, Status("two")), "tier": (of_two, Releases("two"))}
        asked["app"] = (of_one, Status("two"))
        answers = at_once({name: partial(reply, keyed, *asked[name]) for name in asked})
        assert answers == {"one": "releasesreport", "two": "statusreport", "tier": "not_allowed", "app": "not_allowed"}
    finally:
        keyed.app_two.teal("setup", "--remove-key", f"{keyed.key('ca')}.pub").ok()
    assert reply(keyed, of_one, Status("one")) == "statusreport"


@pytest.mark.row("S6")
def test_revocation_of_a_ca_ends_an_upload_with_its_certificate(keyed: KeyedServer) -> None:
    sign(keyed, "stolen-run", *VALID)
    request = deploy(keyed.spec(), b"x" * 100_000, new_id())
    with keyed.open(key="stolen-run") as thief:
        send(thief, frame(request), frame(Part(1, "plain")))
        with dripping(thief):
            wait_until(lambda: holds_lock(keyed))
            keyed.app_one.teal("setup", "--remove-key", f"{keyed.key('ca')}.pub").ok()
            thief.wait(60)
    assert places(keyed) == 0
    assert keyed.ssh(key="stolen-run", stdin=SHELL).returncode == 255
    assert not keyed.app_one.status()["notes"]
