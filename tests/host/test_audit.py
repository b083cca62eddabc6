"""The audit of deploy keys: every use has a line, and a monitor that asks each minute does not fill the disk."""

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from teal_host.ground.errors import BadRequest, NotAllowed
from teal_host.ground.paths import HostPaths
from teal_host.state import agreement, footprint, key_limits
from teal_host.state.agreement import Agreement
from teal_host.state.deploy_keys import DeployKey
from teal_host.state.footprint import Footprint
from teal_host.state.key_policy import A_DAY, CHANGES_A_DAY, MOST, KeyPolicy
from teal_host.wire.app import AppSpec, Health, Keep, Ports, Run, Site, Verify
from teal_host.wire.manifest import Manifest, Origin, digest_of
from teal_host.wire.messages import Done, Failure
from teal_host.wire.requests import Deploy, Intended, Rollback, Status

USES = 40
BLOB = b"\0\0\0\x0bssh-ed25519" + bytes(36)
KEY, DIGEST = f"ssh-ed25519 {base64.b64encode(BLOB).decode()}", hashlib.sha256(BLOB).hexdigest()
SPEC = AppSpec("shop", Site(), Run(("./program",)), Health(), Verify(), Keep())


@pytest.fixture
def host(tmp_path: Path) -> HostPaths:
    """Of a server on which shop is set up, and may be deployed with KEY."""
    host = HostPaths(tmp_path)
    host.app("shop").home.mkdir(parents=True)
    footprint.save(host.app("shop"), Footprint(keys=(KEY,)))
    return host


@pytest.mark.row("S25")
def test_audit_begins_anew_once_when_it_is_long_and_loses_no_line(tmp_path: Path) -> None:
    paths = HostPaths(tmp_path).app("shop")
    paths.home.mkdir(parents=True)
    before = json.dumps({"did": "status", "more": "x" * 500}) + "\n"
    count = MOST // len(before) + 1
    paths.audit.write_text(before * count)
    policy = KeyPolicy("shop", "ab" * 32)
    with ThreadPoolExecutor(8) as connections:
        list(connections.map(lambda _: policy.note(HostPaths(tmp_path), Status("shop"), Done()), range(USES)))
    older = paths.audit.with_name("audit.1")
    lines = [json.loads(line) for path in (older, paths.audit) for line in path.read_text().splitlines()]
    assert older.read_text().startswith(before * count)
    assert len(lines) == count + USES
    assert {line["ended"] for line in lines[count:]} == {"answered"}
    assert paths.audit.stat().st_size < 100_000


@pytest.mark.row("S25")
def test_audit_has_so_many_lines_of_a_key_a_day_and_the_changes_are_never_pushed_out(tmp_path: Path) -> None:
    """At 768eec4 a key that asked for the status again and again had the lines of its deploys out within the hour."""
    host = HostPaths(tmp_path)
    paths = host.app("shop")
    paths.home.mkdir(parents=True)
    policy, other = KeyPolicy("shop", "ab" * 32), KeyPolicy("shop", "cd" * 32)
    rollback = Rollback("shop", Origin("x" * 512, "y" * 512), "0" * 32)
    policy.note(host, rollback, Done())
    (line,) = paths.audit.read_text().splitlines()
    assert len(line) < 500
    policy.note(host, Status("shop"), Done())
    paths.audit.write_text(line + "\n" + (paths.audit.read_text().splitlines()[1] + "\n") * A_DAY)
    size = paths.audit.stat().st_size
    for _ in range(3):
        policy.note(host, Status("shop"), Done())
        policy.note(host, None, Done())
    assert paths.audit.stat().st_size == size
    policy.note(host, rollback, Done())
    other.note(host, Status("shop"), Done())
    assert paths.audit.stat().st_size > size
    paths.audit.write_text((line + "\n") * (CHANGES_A_DAY + 16))
    policy.note(host, rollback, Done())
    assert len(paths.audit.read_text().splitlines()) == CHANGES_A_DAY + 16


@pytest.mark.row("S25")
def test_audit_has_so_many_lines_a_day_of_deploys_that_were_only_announced_and_they_are_no_changes(
    tmp_path: Path,
) -> None:
    """At 768eec4 a key that announced a deploy and closed the connection wrote a line each time, without end."""
    host = HostPaths(tmp_path)
    paths = host.app("shop")
    paths.home.mkdir(parents=True)
    policy, announced = KeyPolicy("shop", "ab" * 32), Intended(SPEC)
    policy.note(host, announced, Failure("config", "no"))
    paths.audit.write_text(paths.audit.read_text() * A_DAY)
    size = paths.audit.stat().st_size
    policy.note(host, announced, Failure("config", "no"))
    assert paths.audit.stat().st_size == size
    assert policy._lines_today(host, Rollback("shop", Origin(), "0" * 32)) == 0


@pytest.mark.row("S25", "S18")
def test_audit_has_short_lines_whatever_letters_a_client_sends_of_itself(tmp_path: Path) -> None:
    host = HostPaths(tmp_path)
    paths = host.app("shop")
    paths.home.mkdir(parents=True)
    for letter in ("\U0001f600", "\0", "\u202e", "ü"):
        origin = Origin(letter * 500, letter * 500, letter * 500)
        KeyPolicy("shop", "ab" * 32).note(host, Rollback("shop", origin, "0" * 32), Failure("config", letter * 500))
    lines = paths.audit.read_bytes().splitlines()
    assert max(map(len, lines)) < 800
    assert json.loads(lines[-1])["who"] == "ü" * 40 + "@" + "ü" * 40


@pytest.mark.hint("log in as the server's admin, or wait until tomorrow (UTC)")
@pytest.mark.row("S25")
def test_key_whose_changes_fill_its_part_of_the_audit_changes_nothing_until_tomorrow(host: HostPaths) -> None:
    paths = host.app("shop")
    policy = KeyPolicy("shop", DIGEST)
    rollback = Rollback("shop", Origin(), "0" * 32)
    policy.check(host, rollback)
    (line,) = paths.audit.read_text().splitlines()
    paths.audit.write_text((line + "\n") * CHANGES_A_DAY)
    with pytest.raises(NotAllowed, match="all that a key gets"):
        policy.check(host, rollback)
    policy.check(host, Status("shop"))
    yesterday = line.replace(line[8:18], "2000-01-01")
    paths.audit.write_text((yesterday + "\n") * CHANGES_A_DAY)
    policy.check(host, rollback)


def test_footprint_stops_an_older_teal_while_a_key_is_for_a_few_commands_alone(tmp_path: Path) -> None:
    """An older server side reads past `may`, and the key would deploy."""
    paths = HostPaths(tmp_path).app("shop")
    lesser = Footprint(keys=(KEY,), may={DeployKey(KEY).fingerprint: ("status",)})
    numbers = []
    for saved in (Footprint(keys=(KEY,)), lesser, Footprint(keys=(KEY,))):
        footprint.save(paths, saved)
        numbers.append(json.loads(paths.footprint.read_text())["format"])
        assert footprint.load(paths) == saved
    assert numbers == [2, 3, 2]


@pytest.mark.hint("teal setup (as the server's admin), then the same command again")
def test_deploy_key_may_ask_for_what_it_asked_for_before_when_its_agreement_is_of_before_limits(
    host: HostPaths,
) -> None:
    paths = host.app("shop")
    policy, agreed = KeyPolicy("shop", DIGEST), Agreement("shop", Site(), Ports(8081, 8082), "0" * 32)
    agreement.save(paths, agreed)
    written = json.loads(paths.agreed.read_text())
    del written["keys"]
    paths.agreed.write_text(json.dumps(written))
    more = replace(SPEC, health=Health(deadline_s=60), keep=Keep(watch_s=60, releases=10))
    policy.check(host, Intended(more))
    agreement.renew_format(paths)
    policy.check(host, Intended(more))
    agreement.save(paths, replace(agreed, keys=key_limits.of(SPEC)))
    with pytest.raises(BadRequest, match="more than setup agreed"):
        policy.check(host, Intended(more))


@pytest.mark.row("S30")
def test_deploy_key_may_not_evict(tmp_path: Path) -> None:
    """Whoever stole it could take the app down: nothing is live until a release is healthy."""
    request = Deploy(SPEC, Manifest(digest_of(()), ()), Origin(), "0" * 32, evict=True)
    with pytest.raises(NotAllowed, match="may not do this: deploy --evict"):
        KeyPolicy("shop", "ab" * 32).check(HostPaths(tmp_path), request)
