"""`teal doctor` on a real server with one fault after another. What the doctor says to type repairs each."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import harness
from contract.judge import judged
from harness import Server
from harness.booted_server import make_key
from harness.ssh_access import one_login
from harness.world import App, Ended, at_server, wait_until
from hints.walk import hint_of

NGINX_FILE = "/etc/nginx/conf.d/teal-shop.conf"
UNIT = "/etc/systemd/system/teal-shop@.service"


@dataclass(frozen=True)
class Patient:
    """A server with one app, all of it healthy: green is live and blue is the standby."""

    server: Server
    app: App

    def run(self, *argv: str) -> None:
        done = self.server.run(*argv)
        assert done.returncode == 0, done

    def append(self, path: str, line: str) -> None:
        with (self.server.root / path[1:]).open("a") as file:
            file.write(f"{line}\n")

    def wrong(self, code: int = 10) -> dict[str, dict[str, Any]]:
        """The findings that are not ok, by their subject."""
        ended = self.app.teal("doctor", "--json")
        assert ended.code == code, ended
        findings = judged("doctor", ended.result)["findings"]
        return {finding["what"]: finding for finding in findings if finding["state"] != "ok"}

    def hint(self, what: str, text: str, code: int = 10) -> str:
        """The hint of this finding, which must be the hint of this walk."""
        return hint_of(self.wrong(code)[what], text)

    def type(self, hint: str, *more: str) -> None:
        """Types what the hint says, as a person would."""
        assert hint.startswith("teal "), hint
        self.app.teal(*shlex.split(hint)[1:], *more).ok()


@pytest.fixture(scope="module")
def shared_patient(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    home = tmp_path_factory.mktemp("doctor")
    with harness.server(debian, home / "server", packages=["nginx", "sudo"]) as server, one_login(server) as login:
        app = at_server(home / "home", server, login).app("shop")
        app.config(keep={"watch_s": 0, "drain_s": 0})
        app.teal("setup").ok()
        app.deploy().ok()
        app.program(version="v2")
        app.deploy().ok()
        yield Patient(server, app)


@pytest.fixture
def patient(shared_patient: Patient) -> Iterator[Patient]:
    """A healthy patient. What the test types makes the patient healthy again."""
    yield shared_patient
    assert shared_patient.wrong(code=0) == {}


def test_doctor_changes_nothing_and_reports_that_nothing_is_wrong(patient: Patient) -> None:
    assert patient.wrong(code=0) == {}
    before = patient.server.files()
    output = patient.app.teal("doctor").ok().out
    assert patient.server.files() == before
    assert "✓ live" in output
    assert output.endswith("shop: nothing is wrong\n")
    assert patient.app.teal("doctor", "-q").ok().out == ""


@pytest.mark.row("S17")
def test_root_s_side_runs_no_program_that_its_environment_names(patient: Patient, tmp_path: Path) -> None:
    """Before the mend (768eec4) `systemctl` came from the PATH of whoever logged in.

    These are logins of their own: a connection keeps its environment for all that share it.
    """
    app = replace(patient.app, world=at_server(tmp_path, patient.server))
    thief = patient.server.root / "var/thief"
    thief.mkdir()
    for name in ("systemctl", "journalctl", "nginx", "sshd", "visudo", "systemd-analyze", "ss", "apt-get"):
        (thief / name).write_text("#!/bin/sh\ntouch /var/thief/ran\n")
        (thief / name).chmod(0o755)
    environment = patient.server.root / "etc/environment"
    before = environment.read_text() if environment.exists() else None
    environment.write_text("PATH=/var/thief:/usr/bin:/bin:/usr/sbin:/sbin\nSYSTEMD_LOG_LEVEL=debug\n")
    try:
        login = app.teal("ssh", "--", "sh", "-c", "command -v systemctl").ok()
        assert login.out == "/var/thief/systemctl\n"
        assert Patient(patient.server, app).wrong(code=0) == {}
        app.teal("setup", "--dry-run").ok()
    finally:
        environment.unlink() if before is None else environment.write_text(before)
    assert not (thief / "ran").exists()


def test_doctor_points_to_setup_when_the_app_was_not_set_up(shared_patient: Patient) -> None:
    stranger = shared_patient.app.world.app("stranger")
    ended = stranger.teal("doctor", "--json")
    assert ended.code == 10
    (fault,) = [row for row in judged("doctor", ended.result)["findings"] if row["state"] == "fault"]
    assert fault["hint"] == "teal setup"


@pytest.mark.hint("teal ssh -- {}systemctl start nginx", "teal ssh -- {}systemctl enable nginx")
def test_doctor_finds_a_stopped_nginx_and_one_that_does_not_start_at_boot(patient: Patient) -> None:
    patient.run("systemctl", "disable", "--now", "nginx")
    finding = patient.wrong()["nginx"]
    assert finding["state"] == "fault"
    patient.type(hint_of(finding, "teal ssh -- {}systemctl start nginx"))
    patient.type(patient.hint("nginx", "teal ssh -- {}systemctl enable nginx", code=0))


@pytest.mark.row("D7")
@pytest.mark.hint(
    "mend that file, then the same command again",
    "mend its configuration (below), then teal ssh -- {}systemctl start nginx",
)
def test_doctor_finds_a_broken_site_of_somebody_else(patient: Patient) -> None:
    patient.append("/etc/nginx/conf.d/other.conf", "# a site\nserver { lissen 8000; }")
    patient.run("systemctl", "stop", "nginx")
    findings = patient.wrong()
    assert findings["nginx -t"]["evidence"][0].startswith('/etc/nginx/conf.d/other.conf:2: unknown directive "lissen"')
    assert "not Teal's" in findings["nginx -t"]["says"]
    assert hint_of(findings["nginx -t"], "mend that file, then the same command again")
    start = hint_of(findings["nginx"], "mend its configuration (below), then teal ssh -- {}systemctl start nginx")
    patient.run("sed", "-i", "s/lissen/listen/", findings["nginx -t"]["evidence"][0].partition(":")[0])
    patient.type(start.partition(", then ")[2])
    assert patient.wrong(code=0) == {}
    patient.run("rm", "/etc/nginx/conf.d/other.conf")
    patient.run("systemctl", "reload", "nginx")


@pytest.mark.row("D15")
def test_doctor_finds_a_unit_that_was_edited_by_hand(patient: Patient) -> None:
    patient.append(UNIT, "Environment=DEBUG=1")
    finding = patient.wrong()["unit"]
    assert "edited by hand" in finding["says"]
    assert "-Environment=DEBUG=1" in finding["evidence"]
    patient.type(finding["hint"], "-y")


@pytest.mark.row("D14")
def test_doctor_finds_an_nginx_file_that_was_edited_by_hand(patient: Patient) -> None:
    """A deploy and a rollback leave the edited file alone."""
    patient.append(NGINX_FILE, "# by hand")
    patient.app.program(version="beside a hand")
    patient.app.deploy().ok()
    patient.app.teal("rollback").ok()
    assert (patient.server.root / NGINX_FILE[1:]).read_text().endswith("# by hand\n")
    finding = patient.wrong()["nginx file"]
    assert "edited by hand" in finding["says"]
    assert "-# by hand" in finding["evidence"]
    patient.type(finding["hint"], "-y")


def test_doctor_finds_an_nginx_file_that_was_broken_by_hand(patient: Patient) -> None:
    patient.append(NGINX_FILE, "servr { }")
    finding = patient.wrong()["nginx -t"]
    assert finding["evidence"][0].startswith(f"{NGINX_FILE}:")
    patient.type(finding["hint"], "-y")


@pytest.mark.row("G8")
@pytest.mark.hint("teal ssh -- {}chmod go-w {}", "teal ssh -- {}chown root {}")
def test_doctor_finds_a_server_side_and_a_folder_that_other_users_could_change(patient: Patient) -> None:
    patient.run("chmod", "777", "/usr/local/lib/teal/teal-host", "/var/lib/teal/shop")
    findings = patient.wrong()
    for what in ("server side", "folders"):
        assert "users other than root" in findings[what]["says"]
        patient.type(findings[what]["hint"])
    assert hint_of(findings["folders"], "teal ssh -- {}chmod go-w {}")
    patient.run("chown", "teal-shop", "/var/lib/teal/shop/records")
    patient.type(patient.hint("folders", "teal ssh -- {}chown root {}"))


@pytest.mark.row("H5")
@pytest.mark.hint("teal ssh -- {}chmod o+x {}")
def test_doctor_finds_a_marker_that_nginx_cannot_reach(patient: Patient) -> None:
    """nginx reports nothing in this case, and sends requests to blue."""
    patient.run("chmod", "700", "/var/lib/teal/shop/green")
    assert patient.app.get()["color"] == "blue"
    hint = patient.hint("route", "teal ssh -- {}chmod o+x {}")
    assert hint.endswith(" /var/lib/teal/shop/green")
    patient.type(hint)
    assert patient.app.get()["color"] == "green"


@pytest.mark.hint(
    "teal ssh -- {}systemctl enable teal-{}@{}.service", "teal ssh -- {}systemctl disable teal-{}@{}.service"
)
def test_doctor_finds_a_live_color_that_would_not_start_at_boot(patient: Patient) -> None:
    patient.run("systemctl", "disable", "teal-shop@green.service")
    patient.run("systemctl", "enable", "teal-shop@blue.service")
    finding = patient.wrong()["boot"]
    assert (finding["state"], finding["hint"]) == ("fault", "teal ssh -- systemctl enable teal-shop@green.service")
    patient.type(finding["hint"])
    finding = patient.wrong(code=0)["boot"]
    assert (finding["state"], finding["hint"]) == ("warning", "teal ssh -- systemctl disable teal-shop@blue.service")
    patient.type(finding["hint"])


@pytest.mark.hint("teal ssh -- {}chown -R {}:{} {}")
def test_doctor_finds_data_that_belongs_to_another_user(patient: Patient) -> None:
    patient.run("chown", "-R", "root:root", "/var/lib/shop")
    patient.type(patient.hint("user", "teal ssh -- {}chown -R {}:{} {}"))


ADD_USER = (
    "teal ssh -- {}useradd --system --user-group --no-create-home --home-dir {} --shell /usr/sbin/nologin --uid {} {}; "
    "then teal ssh -- {}usermod --expiredate=1 {}"
)


@pytest.mark.hint(
    "teal ssh -- {}useradd --system --user-group --no-create-home --home-dir {} --shell /usr/sbin/nologin --uid {} {}; "
    "then teal ssh -- {}usermod --expiredate=1 {}"
)
def test_doctor_finds_a_user_that_was_removed(patient: Patient) -> None:
    """The programs of the user continue to run, but systemd could not start them again."""
    before = patient.server.run("stat", "-c", "%u %U", "/var/lib/shop").stdout
    patient.run("userdel", "-f", "teal-shop")
    for command in patient.hint("user", ADD_USER).split("; then "):
        patient.type(command)
    assert patient.server.run("getent", "shadow", "teal-shop").stdout.split(":")[7] == "1"
    assert patient.server.run("stat", "-c", "%u %U", "/var/lib/shop").stdout == before
    patient.type("teal setup", "-y")


SSHD = "change it in /etc/ssh/sshd_config or sshd_config.d, then teal ssh -- {}systemctl reload ssh"


@pytest.mark.hint(
    "change it in /etc/ssh/sshd_config or sshd_config.d, then teal ssh -- {}systemctl reload ssh",
    "mend that file, then the same command again",
)
def test_doctor_finds_deploy_keys_that_sudo_or_sshd_does_not_let_in(shared_patient: Patient) -> None:
    make_key(shared_patient.app.directory / "ci", "ci")
    shared_patient.app.teal("setup", "--deploy-key", "ci.pub").ok()
    shared_patient.append("/etc/ssh/sshd_config.d/strict.conf", "AllowUsers root")
    shared_patient.append("/etc/sudoers.d/odd", "this is no rule")
    shared_patient.append("/etc/sudoers.d/teal-shop", "teal ALL=(root) NOPASSWD: ALL")
    findings = shared_patient.wrong()
    assert "AllowUsers" in findings["sshd"]["says"]
    assert any("/etc/sudoers.d/odd" in line for line in findings["sudo"]["evidence"])
    assert "-teal ALL=(root) NOPASSWD: ALL" in findings["deploy keys"]["evidence"]
    assert hint_of(findings["sudo"], "mend that file, then the same command again")
    shared_patient.run("rm", "/etc/sudoers.d/odd")
    shared_patient.run("sed", "-i", "s/AllowUsers root/AllowUsers root teal/", "/etc/ssh/sshd_config.d/strict.conf")
    shared_patient.type(hint_of(findings["sshd"], SSHD).partition(", then ")[2])
    shared_patient.type(findings["deploy keys"]["hint"], "-y")
    assert shared_patient.wrong(code=0) == {}
    shared_patient.append("/etc/ssh/sshd_config.d/strict.conf", "AllowUser ada")
    findings = shared_patient.wrong(code=0)
    assert hint_of(findings["sshd"], "mend that file, then the same command again")
    assert any("/etc/ssh/sshd_config.d/strict.conf" in line for line in findings["sshd"]["evidence"])
    shared_patient.run("rm", "/etc/ssh/sshd_config.d/strict.conf")
    make_key(shared_patient.app.directory / "ca", "ca")
    shared_patient.app.teal("setup", "--deploy-ca", "ca.pub", "--principal", "ci", "-y").ok()
    narrow = "CASignatureAlgorithms rsa-sha2-512\nPubkeyAcceptedAlgorithms rsa-sha2-512"
    shared_patient.append("/etc/ssh/sshd_config.d/strict.conf", f"Match User teal\n{narrow}")
    message = shared_patient.wrong()["sshd"]["says"]
    assert "PubkeyAcceptedAlgorithms has no ssh-ed25519; sshd refuses certificates of the CA SHA256:" in message
    assert "for ci: CASignatureAlgorithms has no ssh-ed25519" in message
    shared_patient.run("rm", "/etc/ssh/sshd_config.d/strict.conf")
    shared_patient.append("/etc/ssh/sshd_config.d/strict.conf", "Match User teal\nLogLevel QUIET")
    finding = shared_patient.wrong(code=0)["sshd"]
    assert "the audit names no certificate" in finding["says"]
    shared_patient.run("rm", "/etc/ssh/sshd_config.d/strict.conf")
    shared_patient.type(hint_of(finding, SSHD).partition(", then ")[2])
    assert shared_patient.wrong(code=0) == {}


@pytest.mark.hint("teal logs --color {}")
def test_doctor_warns_of_a_program_that_crashed_and_was_restarted(shared_patient: Patient) -> None:
    pid = shared_patient.app.get()["pid"]
    with pytest.raises(OSError, match="502"):
        shared_patient.app.get("/exit")
    wait_until(lambda: _pid(shared_patient.app) not in (None, pid))
    finding = shared_patient.wrong(code=0)["restarts"]
    assert finding["state"] == "warning"
    assert "once" in finding["says"]
    assert "exited with code 3" in finding["says"]
    shared_patient.type(hint_of(finding, "teal logs --color {}"))


def test_doctor_finds_a_program_that_listens_on_all_addresses(shared_patient: Patient) -> None:
    shared_patient.app.program(version="v3", bind="0.0.0.0")
    live = shared_patient.app.deploy().ok().result
    assert shared_patient.wrong(code=0) == {}  # the table of nftables lets nobody in from outside
    shared_patient.run("nft", "delete", "table", "inet", "teal-shop")
    findings = shared_patient.wrong()
    assert f"{live['color']} listens on 0.0.0.0" in findings["ports"]["says"]
    assert "HOST" in findings["ports"]["hint"]
    assert findings["port rules"]["hint"] == "teal setup"
    shared_patient.app.teal("setup").ok()
    for version in ("v4", "v5"):
        shared_patient.app.program(version=version)
        shared_patient.app.deploy().ok()
    assert shared_patient.wrong(code=0) == {}


@pytest.mark.hint(
    "teal logs --color {}; then teal deploy, or teal rollback",
    "teal logs --color {}; the next deploy uses this color again",
)
def test_doctor_finds_a_live_color_and_a_standby_that_were_stopped(shared_patient: Patient) -> None:
    live = shared_patient.app.status()["live"]
    shared_patient.run("systemctl", "stop", f"teal-shop@{live}.service")
    finding = shared_patient.wrong()["live"]
    assert "is not running" in finding["says"]
    assert any("Deactivated" in line or "Stopped" in line for line in finding["evidence"])
    logs, _, rest = hint_of(finding, "teal logs --color {}; then teal deploy, or teal rollback").partition("; then ")
    shared_patient.type(logs)
    shared_patient.type(rest.partition(", or ")[0])
    assert shared_patient.wrong(code=0).keys() <= {"standby"}
    shared_patient.run("systemctl", "stop", f"teal-shop@{live}.service")
    hint = shared_patient.hint("standby", "teal logs --color {}; the next deploy uses this color again", code=0)
    shared_patient.type(hint.partition(";")[0])
    shared_patient.app.program(version="after a stop")
    shared_patient.app.deploy().ok()
    assert shared_patient.wrong(code=0) == {}


def _pid(app: App) -> int | None:
    try:
        return int(app.get()["pid"])
    except (OSError, ValueError):
        return None


@contextmanager
def firewall(server: Server, verdict: str) -> Iterator[None]:
    """Closes port 80 for everybody but the server itself."""
    rule = f'iifname != "lo" tcp dport 80 {verdict};'
    assert (
        server.run(
            "nft", f"table inet closed {{ chain input {{ type filter hook input priority 0; {rule} }}; }}"
        ).returncode
        == 0
    )
    try:
        yield
    finally:
        server.run("nft", "delete", "table", "inet", "closed")


@pytest.mark.hint(
    "open TCP port {port} in the firewall of the server and in that of its provider",
    "{at} may be known in the server's own network only: with a name, Teal prints that: [server] domains; "
    "else open TCP port {port} in the firewall of the server and in that of its provider",
)
def test_doctor_and_first_deploy_warn_when_a_firewall_closes_the_port(shared_patient: Patient) -> None:
    shared_patient.run("apt-get", "install", "-y", "nftables")
    with firewall(shared_patient.server, "drop"):
        row = shared_patient.wrong(code=0)["url"]
        assert f"port 80 of {shared_patient.server.address} does not answer: a firewall drops it" in row["says"]
        assert row["hint"].startswith(
            f"{shared_patient.server.address} may be known in the server's own network only: "
        )
        assert "; else open TCP port 80 in the firewall of the server" in row["hint"]
        shared_patient.app.teal("destroy", "-y").ok()
        shared_patient.app.teal("setup").ok()
        deployed = shared_patient.app.deploy().ok()
        (warning,) = warnings(deployed)
        assert f"port 80 of {shared_patient.server.address} does not answer" in warning
        assert deployed.result["outcome"] == "live"
        shared_patient.app.program(version="v3")
        assert warnings(shared_patient.app.deploy().ok()) == []  # only after the first deploy
    assert shared_patient.wrong(code=0) == {}
    with firewall(shared_patient.server, "reject with tcp reset"):
        row = shared_patient.wrong(code=0)["url"]
        assert "refuses the connection" in row["says"]
        assert row["hint"].startswith("open TCP port 80 in the firewall of the server")
    assert shared_patient.wrong(code=0) == {}


def test_first_deploy_names_the_record_of_a_name_that_leads_nowhere(shared_patient: Patient) -> None:
    app = shared_patient.app.world.app("stall")
    app.config(server={"domains": ["stall.invalid"]}, keep={"watch_s": 0, "drain_s": 0})
    app.teal("setup").ok()
    (warning,) = warnings(app.deploy().ok())
    assert "stall.invalid leads nowhere yet" in warning
    assert "add to its DNS: stall.invalid A" in warning
    app.teal("destroy", "-y").ok()


@pytest.mark.hint(
    "is that a cache in front, or does a [proxy] directive drop headers? then all is well; "
    "else take that site away, or name another of [server] domains first"
)
def test_doctor_warns_when_another_site_answers(shared_patient: Patient) -> None:
    """The app's own site is healthy, but another default site in front of it gets the visitors."""
    site = f"server {{ listen {shared_patient.server.address}:80 default_server; return 200; }}"
    path = shared_patient.server.root / "etc/nginx/conf.d/front.conf"
    path.write_text(f"{site}\n")
    shared_patient.run("systemctl", "restart", "nginx")
    row = shared_patient.wrong(code=10)["url"]
    assert "another site or server answers on port 80" in row["says"]
    assert "; else take that site away, or " in row["hint"]
    path.unlink()
    shared_patient.run("systemctl", "restart", "nginx")
    wait_until(lambda: shared_patient.wrong(code=0) == {})


def warnings(deployed: Ended) -> list[str]:
    return [line["text"] for line in deployed.lines if line.get("type") == "note" and line["level"] == "warning"]
