"""What the doctor concludes from its observations: values in, findings out. One check cannot hold up the others."""

import base64
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from teal.cli.doctor import lines, worst
from teal.ground import dns
from teal.ui.base import Manner
from teal_host.checks import agreed, colors, exposed, history, keys, machine, marker, nginx, owner, room, route, systemd
from teal_host.checks.base import Visit, fault, ok, warning
from teal_host.checks.marker import Directory
from teal_host.checks.nginx import NginxState
from teal_host.checks.owner import DataOwner
from teal_host.checks.room import Disk, Memory
from teal_host.ground import lock
from teal_host.ground.errors import NeedsHuman
from teal_host.ground.journal import UnfinishedStory
from teal_host.ground.remedies import on_server
from teal_host.ground.sockets import Socket
from teal_host.proxies.nginx.program import Worker
from teal_host.proxies.upstream import TcpPort
from teal_host.state.deploy_keys import DeployKey
from teal_host.state.seams import Check, ProcessState
from teal_host.stories import doctor
from teal_host.supervisors import journald
from teal_host.supervisors.base import BOOTED
from teal_host.supervisors.journald import UnitLog
from teal_host.wire.manifest import Origin
from teal_host.wire.reports import DoctorReport, Finding

GB, MB = 10**9, 10**6
NOBODY = cast(Visit, None)


def states(findings: Iterator[Finding]) -> list[tuple[str, str]]:
    return [(finding.what, finding.state) for finding in findings]


@pytest.mark.parametrize(
    ("ahead_s", "state", "message"),
    [
        (0, "ok", "agree"),
        (-29, "ok", "agree"),
        (31, "warning", "31 s behind"),
        (-200, "warning", "3 min ahead of"),
        (301, "fault", "5 min behind"),
        (-86_400 * 400, "fault", "400 d ahead of"),
    ],
)
def test_clock_check_judges_how_far_the_clock_is_off(ahead_s: float, state: str, message: str) -> None:
    finding = machine.clock(ahead_s)
    assert finding.state == state
    assert message in finding.message
    assert ("timedatectl" in finding.hint) == (state != "ok")


@pytest.mark.row("F3")
@pytest.mark.parametrize(
    ("disk", "state", "message"),
    [
        (Disk(100 * GB, 50 * GB, 10**6, 10**5 * 5), "ok", "50 GB of 100 GB"),
        (Disk(100 * GB, 9 * GB, 10**6, 10**5 * 5), "warning", "91 % full"),
        (Disk(100 * GB, 60 * MB, 10**6, 10**5 * 5), "fault", "may need 83 MB"),
        (Disk(100 * GB, 50 * GB, 10**6, 900), "fault", "only 900 more files"),
        (Disk(100 * GB, 50 * GB, 10**6, 50_000), "warning", "95 % of its files"),
        (Disk(100 * GB, 50 * GB, 0, 0), "ok", "free"),
    ],
)
def test_disk_check_judges_free_bytes_and_inodes(disk: Disk, state: str, message: str) -> None:
    finding = room.disk(Path("/"), Path("/var/lib/teal/shop"), disk, 16 * MB)
    assert (finding.state, message in finding.message) == (state, True), finding


@pytest.mark.row("F8")
@pytest.mark.parametrize(
    ("memory", "state"),
    [
        (Memory(500 * MB, 100 * MB, 100 * MB), "ok"),
        (Memory(60 * MB, 100 * MB, 100 * MB), "ok"),
        (Memory(20 * MB, 100 * MB, 100 * MB), "warning"),
        (Memory(90 * MB, 100 * MB, 0), "fault"),
        (Memory(500 * MB, 100 * MB, 0, 105 * MB), "warning"),
        (Memory(500 * MB, 100 * MB, 0, 200 * MB), "ok"),
    ],
)
def test_memory_check_judges_available_memory_and_the_limit(memory: Memory, state: str) -> None:
    assert room.memory(memory).state == state


def test_history_check_names_a_command_at_work_or_interrupted() -> None:
    assert history.history(None, None).state == "ok"
    at_work = history.history("ada@laptop is at work here: deploy", UnfinishedStory("1", None, None, True))
    assert "ada@laptop" in at_work.message
    interrupted = history.history(None, UnfinishedStory("1", "0007-3f2a9c1b7d4e", "blue", True))
    assert (interrupted.state, "0007-3f2a9c1b7d4e" in interrupted.message) == ("warning", True)


def test_lock_holder_is_named_without_taking_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert lock.at_work(path) is None
    with lock.held(path, "deploy", Origin("ada", "laptop"), 0):
        assert "ada@laptop is at work here" in (lock.at_work(path) or "")
    assert lock.at_work(path) is None


@pytest.mark.parametrize(
    ("needed", "owned", "state"),
    [
        (None, (0, 0o100755), "ok"),
        ("replace the server side", (0, 0o100755), "warning"),
        ("install the server side", None, "fault"),
        (None, (1000, 0o100755), "fault"),
        (None, (0, 0o100775), "fault"),
    ],
)
def test_server_side_check_judges_version_owner_and_mode(
    needed: str | None, owned: tuple[int, int] | None, state: str
) -> None:
    assert agreed.server(needed, owned).state == state


def test_folder_check_says_how_to_fix_a_folder_that_others_can_change() -> None:
    fine, odd = (Path("/var/lib/teal/shop"), 0, 0o40755), Path("/var/lib/teal/shop/blue")
    assert agreed.folders([fine]).state == "ok"
    assert agreed.folders([fine, (odd, 1000, 0o40755)]).hint == f"teal ssh -- chown root {odd}"
    for mode in (0o40775, 0o40757):
        assert agreed.folders([fine, (odd, 0, mode)]).hint == f"teal ssh -- chmod go-w {odd}"


@pytest.mark.parametrize(
    ("owned", "hint"),
    [
        (DataOwner(None, None), None),
        (DataOwner(998, None), None),
        (DataOwner(998, 998), None),
        (DataOwner(998, 0), "teal ssh -- chown -R teal-shop:teal-shop /var/lib/shop"),
        (DataOwner(None, 998), "--uid 998 teal-shop; then teal ssh -- usermod --expiredate=1 teal-shop"),
    ],
)
def test_data_owner_check_says_how_to_fix_a_wrong_owner(owned: DataOwner, hint: str | None) -> None:
    finding = owner.owner("teal-shop", Path("/var/lib/shop"), owned)
    assert (finding is None) == (hint is None)
    assert finding is None or finding.hint.endswith(hint or "")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_exposure_check_is_silent_about_a_loopback_port(address: str) -> None:
    assert list(exposed.exposed("blue", [Socket(address, 8081, 1)], fault)) == []


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "203.0.113.10", "::ffff:10.0.0.1", "2001:db8::1"])
def test_exposure_check_reports_a_port_that_is_open_to_others(address: str) -> None:
    sockets = [Socket("127.0.0.1", 8081, 1), Socket(address, 9000, 2)]
    (exposure,) = exposed.exposed("blue", sockets, fault)
    assert (exposure.state, address in exposure.message, "9000" in exposure.message) == ("fault", True, True)
    assert [finding.state for finding in exposed.exposed("blue", sockets, warning)] == ["warning"]


def test_standby_check_judges_a_running_stopped_or_failed_color() -> None:
    assert colors.standby("green", ProcessState("running"), True).state == "ok"
    assert colors.standby("green", ProcessState("stopped"), True).state == "warning"
    assert colors.standby("green", ProcessState("stopped"), False).state == "ok"
    booted = colors.standby("green", ProcessState("stopped", end=BOOTED), True)
    assert (booted.state, booted.hint) == ("warning", "")
    assert "the machine was booted since; the next deploy uses this color, and a rollback starts it" in booted.message
    state = ProcessState("failed", end="it exited with code 3")
    failed = colors.ended("green", "0007-3f2a9c1b7d4e", state, ["systemd's"])
    assert (failed.evidence, "code 3" in failed.message) == (("systemd's",), True)


def test_boot_check_wants_only_the_live_color_enabled() -> None:
    assert states(colors.boot("shop", "blue", ["blue"])) == [("boot", "ok")]
    assert states(colors.boot("shop", "blue", [])) == [("boot", "fault")]
    both = list(colors.boot("shop", "blue", ["blue", "green"]))
    assert [finding.hint for finding in both] == ["teal ssh -- systemctl disable teal-shop@green.service"]
    assert states(colors.boot("shop", "blue", ["green"])) == [("boot", "fault"), ("boot", "warning")]


def test_restart_check_says_how_often_and_why_the_program_ended() -> None:
    assert list(colors.restarts("blue", UnitLog(0, "it exited with code 1", []))) == []
    killed = journald.process_end({"EXIT_CODE": "killed", "EXIT_STATUS": "9"})
    (finding,) = colors.restarts("blue", UnitLog(3, killed, []))
    assert "3 times; the last time it was ended by SIGKILL" in finding.message
    assert journald.process_end({"EXIT_CODE": "exited", "EXIT_STATUS": "3"}) == "it exited with code 3"


def test_systemd_check_judges_its_version_and_the_loaded_unit() -> None:
    assert systemd.version("252.39-1~deb12u2").state == "ok"
    assert systemd.version("v257").state == "ok"
    assert systemd.version("245.4-4ubuntu3").state == "fault"
    well = {"NeedDaemonReload": "no", "DropInPaths": "", "LoadState": "loaded"}
    assert list(systemd.loaded("teal-shop@blue.service", well)) == []
    ill = {"NeedDaemonReload": "yes", "DropInPaths": "/etc/x.conf /etc/y.conf", "LoadState": "masked"}
    assert [finding.state for finding in systemd.loaded("u", ill)] == ["warning", "warning", "warning", "fault"]
    assert [*systemd.loaded("u", ill)][-1].hint == "teal ssh -- systemctl unmask u"


OURS = ["/etc/nginx/conf.d/teal-shop.conf"]
V = "nginx version: nginx/1.22.1 (Debian)\n"


@pytest.mark.parametrize(
    ("nginx_state", "states"),
    [
        (NginxState(V, True, None, "enabled"), ["ok", "ok"]),
        (NginxState(V, True, None, ""), ["ok", "ok"]),
        (NginxState(V, True, None, "disabled"), ["warning", "ok"]),
        (NginxState(V, False, None, "enabled"), ["fault", "ok"]),
        (NginxState(V, True, "/etc/nginx/x.conf:3: no", "enabled"), ["ok", "fault"]),
        (NginxState("nginx version: nginx/1.9.15\n", True, None, "enabled"), ["fault", "ok", "ok"]),
        (NginxState("nginx version: nginx/1.18.0\n", True, None, "enabled"), ["ok", "ok"]),
        (NginxState("nginx version: nginx/2.0\n", True, None, "enabled"), ["ok", "ok"]),
        (NginxState("", True, None, "enabled"), ["ok", "ok"]),
    ],
)
def test_nginx_check_judges_version_state_and_configuration(nginx_state: NginxState, states: list[str]) -> None:
    assert [finding.state for finding in nginx.nginx(nginx_state, OURS)] == states


def test_nginx_check_says_whose_file_is_broken() -> None:
    *_, foreign = nginx.nginx(NginxState(V, True, "/etc/nginx/x.conf:3: no", "enabled"), OURS)
    assert (foreign.evidence, "not Teal's" in foreign.message) == (("/etc/nginx/x.conf:3: no",), True)
    *_, mine = nginx.nginx(NginxState(V, True, f"{OURS[0]}:3: no", "enabled"), OURS)
    assert mine.hint == "teal setup"
    stopped, _ = nginx.nginx(NginxState(V, False, "/etc/nginx/x.conf:3: no", "enabled"), OURS)
    assert stopped.hint == "mend its configuration (below), then teal ssh -- systemctl start nginx"


def test_nginx_worker_reaches_the_marker_unless_a_folder_blocks_the_way() -> None:
    worker = Worker(33, frozenset({33, 1001}))
    open_, by_group, shut = Path("/var"), Path("/var/lib/ours"), Path("/var/lib/teal")
    assert marker.blocked(worker, [Directory(open_, 0o755, 0, 0)]) is None
    assert marker.blocked(worker, [Directory(open_, 0o711, 0, 0), Directory(shut, 0o750, 0, 0)]) == shut
    assert marker.blocked(worker, [Directory(by_group, 0o750, 0, 1001)]) is None
    assert marker.blocked(worker, [Directory(by_group, 0o705, 0, 33)]) == by_group
    assert marker.blocked(worker, [Directory(by_group, 0o077, 33, 33)]) == by_group
    assert marker.blocked(Worker(0, frozenset()), [Directory(shut, 0, 0, 0)]) is None


def test_route_check_judges_which_color_answered() -> None:
    assert route.answered("green", TcpPort(8082), "127.0.0.1:8082", "teal setup").state == "ok"
    assert "127.0.0.1:8081" in route.answered("green", TcpPort(8082), "127.0.0.1:8081", "teal setup").message
    assert "some other site" in route.answered("green", TcpPort(8082), "", "teal setup").message
    silent = route.live_is_silent("green", 502)
    assert (silent.state, silent.message) == ("fault", "nginx asks green, which is live and does not answer: 502")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("port 22\npubkeyauthentication yes\nauthorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2", None),
        ("allowusers root\nallowusers teal@10.0.0.*", None),
        ("allowgroups t*", None),
        ("denyusers mallory", None),
        ("allowusers root", "AllowUsers of sshd does not name teal"),
        ("allowgroups sudo", "AllowGroups of sshd does not name teal"),
        ("denyusers te?l", "DenyUsers of sshd names teal"),
        ("pubkeyauthentication no", "takes no keys"),
        ("authorizedkeysfile /etc/ssh/keys/%u", "does not read"),
    ],
)
def test_sshd_check_says_why_the_deploy_user_cannot_log_in(text: str, complaint: str | None) -> None:
    finding = keys.sshd(text.splitlines(), ())
    assert finding.state == ("fault" if complaint else "ok")
    assert (complaint or "lets") in finding.message


BLOB = base64.b64encode(bytes(40)).decode()
OF_ED25519, OF_RSA = DeployKey(f"ssh-ed25519 {BLOB}"), DeployKey(f"ssh-rsa {BLOB}")
OF_A_CA = replace(OF_ED25519, principals=("ci",))
CERTIFICATES = "pubkeyacceptedalgorithms ssh-ed25519-cert-v01@openssh.com"


@pytest.mark.parametrize(
    ("key", "text", "complaint"),
    [
        (OF_ED25519, "", None),
        (OF_ED25519, "pubkeyacceptedalgorithms ssh-ed25519,rsa-sha2-512\nloglevel QUIET", None),
        (OF_ED25519, CERTIFICATES, "PubkeyAcceptedAlgorithms has no ssh-ed25519"),
        (OF_RSA, "pubkeyacceptedalgorithms ssh-ed25519,rsa-sha2-256", None),
        (OF_RSA, "pubkeyacceptedalgorithms ssh-ed25519,ssh-rsa", "PubkeyAcceptedAlgorithms has no rsa-sha2-512"),
        (OF_A_CA, f"{CERTIFICATES}\ncasignaturealgorithms ssh-ed25519\nloglevel INFO", None),
        (OF_A_CA, "casignaturealgorithms rsa-sha2-512", "CASignatureAlgorithms has no ssh-ed25519"),
        (OF_A_CA, "pubkeyacceptedalgorithms ssh-ed25519", "PubkeyAcceptedAlgorithms has no certificates"),
        (
            OF_A_CA,
            "loglevel SILENT",
            "the audit names no certificate: sshd logs logins from LogLevel INFO on, not SILENT",
        ),
    ],
)
def test_sshd_check_says_which_key_or_certificate_sshd_refuses_or_does_not_log(
    key: DeployKey, text: str, complaint: str | None
) -> None:
    finding = keys.sshd(text.splitlines(), [key])
    assert finding.state == ("ok" if complaint is None else "warning" if "audit" in complaint else "fault")
    assert (complaint or "lets") in finding.message
    assert ("systemctl reload ssh" in finding.hint) == (complaint is not None)


def test_hint_contains_sudo_when_the_user_logged_in_with_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert on_server("systemctl start nginx") == "teal ssh -- systemctl start nginx"
    monkeypatch.setenv("SUDO_USER", "ada")
    assert on_server("systemctl start nginx") == "teal ssh -- sudo systemctl start nginx"


def test_doctor_reports_a_hanging_or_failing_check_and_goes_on() -> None:
    never = threading.Event()

    def hangs(visit: Visit) -> Iterator[Finding]:
        never.wait()
        yield ok("a", "")

    def breaks(visit: Visit) -> Iterator[Finding]:
        yield ok("b", "begun")
        raise ValueError("odd")

    def refuses(visit: Visit) -> Iterator[Finding]:
        yield from ()
        raise NeedsHuman("it is damaged", ["here"], "mend it")

    checks = [Check("a", hangs), Check("b", breaks), Check("c", refuses), Check("d", lambda visit: iter([ok("d", "")]))]
    findings = doctor.side_by_side(NOBODY, checks, 0.2)
    never.set()
    assert states(iter(findings)) == [("a", "fault"), ("b", "ok"), ("b", "fault"), ("c", "fault"), ("d", "ok")]
    assert (findings[3].message, findings[3].evidence, findings[3].hint) == ("it is damaged", ("here",), "mend it")


def test_doctor_reports_each_check_for_which_no_thread_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    checks = [Check(name, lambda visit: iter([ok("a", "")])) for name in ("a", "b")]
    findings = doctor.side_by_side(NOBODY, checks, 0.2)
    assert states(iter(findings)) == [("a", "fault"), ("b", "fault")]
    assert "this machine has run out of processes (or a limit of them): can't start new thread" in findings[0].message
    assert findings[0].hint


SERVER = ["203.0.113.10", "2001:db8::a", "10.0.0.5"]


@pytest.mark.parametrize(
    ("leads_to", "server", "state", "message"),
    [
        ({"203.0.113.10"}, SERVER, "ok", "leads to this server"),
        ({"2001:db8::a", "192.0.2.1"}, SERVER, "ok", "leads to this server"),
        (set(), SERVER, "warning", "leads nowhere"),
        (None, SERVER, "warning", "in time"),
        ({"8.8.4.4"}, ["9.9.9.9"], "warning", "behind a CDN that is as it should be"),
        ({"8.8.4.4"}, ["10.0.0.5"], "ok", "only addresses of its own network"),
    ],
)
def test_domain_check_compares_dns_with_the_addresses_of_the_server(
    leads_to: set[str] | None, server: list[str], state: str, message: str
) -> None:
    finding = dns.judge("example.com", leads_to, server)
    assert (finding.state, message in finding.message) == (state, True), finding


@pytest.mark.parametrize(
    ("server", "hint"),
    [
        (["9.9.9.9", "2620:fe::9", "10.0.0.5"], "add to its DNS: example.com AAAA 2620:fe::9, example.com A 9.9.9.9"),
        (["10.0.0.5"], "add to its DNS: example.com A, with the address of the server"),
    ],
)
def test_domain_check_names_the_dns_record_that_is_missing(server: list[str], hint: str) -> None:
    assert dns.judge("example.com", set(), server).hint == hint


def test_domain_check_really_looks_names_up() -> None:
    (finding,) = dns.check_domains(["localhost"], ["127.0.0.1", "::1"])
    assert finding.state == "ok"
    assert dns.check_domains([], []) == []


FINDINGS = (ok("live", "well"), warning("disk", "full", "rm"), fault("unit", "\x1b[2J", "x", ["-a"]))
REPORT = DoctorReport("shop", FINDINGS)


def test_doctor_report_shows_marks_evidence_hints_and_totals() -> None:
    shown = list(lines(REPORT, Manner(), False))
    assert shown == [
        "✓ live  well",
        "! disk  full",
        "        → rm",
        r"✗ unit  \x1b[2J",
        "        │ -a",
        "        → x",
        "shop: 1 fault, 1 warning",
    ]
    assert list(lines(REPORT, Manner(quiet=True), False)) == shown[1:]
    assert worst(REPORT) == "fault"
    well = DoctorReport("shop", (ok("live", "well"),))
    assert list(lines(well, Manner(), False))[-1] == "shop: nothing is wrong"
    assert list(lines(well, Manner(quiet=True), False)) == []
    assert any("\033[31m✗" in line for line in lines(REPORT, Manner(), True))
