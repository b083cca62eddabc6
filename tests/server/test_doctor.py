"""`teal doctor` on a real server with one fault after another. What the doctor says to type repairs each."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

import harness
from contract.judge import judged
from harness import Server
from harness.booted_server import make_key
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
        told = self.app.teal("doctor", "--json")
        assert told.code == code, told
        findings = judged("doctor", told.result)["findings"]
        return {one["what"]: one for one in findings if one["state"] != "ok"}

    def hint(self, what: str, text: str, code: int = 10) -> str:
        """The hint of this finding, which must be the hint of this walk."""
        return hint_of(self.wrong(code)[what], text)

    def type(self, hint: str, *more: str) -> None:
        """Types what the hint says, as a person would."""
        assert hint.startswith("teal "), hint
        self.app.teal(*shlex.split(hint)[1:], *more).ok()


@pytest.fixture(scope="module")
def one(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Patient]:
    home = tmp_path_factory.mktemp("doctor")
    with harness.server(debian, home / "server", packages=["nginx", "sudo"]) as server:
        app = at_server(home / "home", server).app("shop")
        app.config(keep={"watch_s": 0, "drain_s": 0})
        app.teal("setup").ok()
        app.deploy().ok()
        app.program(version="v2")
        app.deploy().ok()
        yield Patient(server, app)


@pytest.fixture
def patient(one: Patient) -> Iterator[Patient]:
    """A healthy patient. What the test types makes the patient healthy again."""
    yield one
    assert one.wrong(code=0) == {}


def test_doctor_changes_nothing_and_reports_that_nothing_is_wrong(patient: Patient) -> None:
    assert patient.wrong(code=0) == {}
    before = patient.server.files()
    said = patient.app.teal("doctor").ok().out
    assert patient.server.files() == before
    assert "✓ live" in said
    assert said.endswith("shop: nothing is wrong\n")
    assert patient.app.teal("doctor", "-q").ok().out == ""


def test_doctor_points_to_setup_when_the_app_was_not_set_up(one: Patient) -> None:
    stranger = one.app.world.app("stranger")
    told = stranger.teal("doctor", "--json")
    assert told.code == 10
    (fault,) = [one for one in judged("doctor", told.result)["findings"] if one["state"] == "fault"]
    assert fault["hint"] == "teal setup"


@pytest.mark.hint("teal ssh -- {}systemctl start nginx", "teal ssh -- {}systemctl enable nginx")
def test_doctor_finds_a_stopped_nginx_and_one_that_does_not_start_at_boot(patient: Patient) -> None:
    patient.run("systemctl", "disable", "--now", "nginx")
    found = patient.wrong()["nginx"]
    assert found["state"] == "fault"
    patient.type(hint_of(found, "teal ssh -- {}systemctl start nginx"))
    patient.type(patient.hint("nginx", "teal ssh -- {}systemctl enable nginx", code=0))


@pytest.mark.row("D7")
@pytest.mark.hint(
    "mend that file, then the same command again",
    "mend its configuration (below), then teal ssh -- {}systemctl start nginx",
)
def test_doctor_finds_a_broken_site_of_somebody_else(patient: Patient) -> None:
    patient.append("/etc/nginx/conf.d/other.conf", "# a site\nserver { lissen 8000; }")
    patient.run("systemctl", "stop", "nginx")
    found = patient.wrong()
    assert found["nginx -t"]["evidence"][0].startswith('/etc/nginx/conf.d/other.conf:2: unknown directive "lissen"')
    assert "not Teal's" in found["nginx -t"]["says"]
    assert hint_of(found["nginx -t"], "mend that file, then the same command again")
    start = hint_of(found["nginx"], "mend its configuration (below), then teal ssh -- {}systemctl start nginx")
    patient.run("sed", "-i", "s/lissen/listen/", found["nginx -t"]["evidence"][0].partition(":")[0])
    patient.type(start.partition(", then ")[2])
    assert patient.wrong(code=0) == {}
    patient.run("rm", "/etc/nginx/conf.d/other.conf")
    patient.run("systemctl", "reload", "nginx")


@pytest.mark.row("D15")
def test_doctor_finds_a_unit_that_was_edited_by_hand(patient: Patient) -> None:
    patient.append(UNIT, "Environment=DEBUG=1")
    found = patient.wrong()["unit"]
    assert "edited by hand" in found["says"]
    assert "-Environment=DEBUG=1" in found["evidence"]
    patient.type(found["hint"], "-y")


@pytest.mark.row("D14")
def test_doctor_finds_an_nginx_file_that_was_edited_by_hand(patient: Patient) -> None:
    """A deploy and a rollback leave the edited file alone."""
    patient.append(NGINX_FILE, "# by hand")
    patient.app.program(version="beside a hand")
    patient.app.deploy().ok()
    patient.app.teal("rollback").ok()
    assert (patient.server.root / NGINX_FILE[1:]).read_text().endswith("# by hand\n")
    found = patient.wrong()["nginx file"]
    assert "edited by hand" in found["says"]
    assert "-# by hand" in found["evidence"]
    patient.type(found["hint"], "-y")


def test_doctor_finds_an_nginx_file_that_was_broken_by_hand(patient: Patient) -> None:
    patient.append(NGINX_FILE, "servr { }")
    found = patient.wrong()["nginx -t"]
    assert found["evidence"][0].startswith(f"{NGINX_FILE}:")
    patient.type(found["hint"], "-y")


@pytest.mark.row("G8")
@pytest.mark.hint("teal ssh -- {}chmod go-w {}", "teal ssh -- {}chown root {}")
def test_doctor_finds_a_server_side_and_a_folder_that_other_users_could_change(patient: Patient) -> None:
    patient.run("chmod", "777", "/usr/local/lib/teal/teal-host", "/var/lib/teal/shop")
    found = patient.wrong()
    for what in ("server side", "folders"):
        assert "users other than root" in found[what]["says"]
        patient.type(found[what]["hint"])
    assert hint_of(found["folders"], "teal ssh -- {}chmod go-w {}")
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
    found = patient.wrong()["boot"]
    assert (found["state"], found["hint"]) == ("fault", "teal ssh -- systemctl enable teal-shop@green.service")
    patient.type(found["hint"])
    found = patient.wrong(code=0)["boot"]
    assert (found["state"], found["hint"]) == ("warning", "teal ssh -- systemctl disable teal-shop@blue.service")
    patient.type(found["hint"])


@pytest.mark.hint("teal ssh -- {}chown -R {}:{} {}")
def test_doctor_finds_data_that_belongs_to_another_user(patient: Patient) -> None:
    patient.run("chown", "-R", "root:root", "/var/lib/shop")
    patient.type(patient.hint("user", "teal ssh -- {}chown -R {}:{} {}"))


ADD_USER = (
    "teal ssh -- {}useradd --system --user-group --no-create-home --home-dir {} --shell /usr/sbin/nologin --uid {} {}"
)


@pytest.mark.hint(
    "teal ssh -- {}useradd --system --user-group --no-create-home --home-dir {} --shell /usr/sbin/nologin --uid {} {}"
)
def test_doctor_finds_a_user_that_was_removed(patient: Patient) -> None:
    """The programs of the user continue to run, but systemd could not start them again."""
    before = patient.server.run("stat", "-c", "%u %U", "/var/lib/shop").stdout
    patient.run("userdel", "-f", "teal-shop")
    patient.type(patient.hint("user", ADD_USER))
    assert patient.server.run("stat", "-c", "%u %U", "/var/lib/shop").stdout == before
    patient.type("teal setup", "-y")


SSHD = "change it in /etc/ssh/sshd_config or sshd_config.d, then teal ssh -- {}systemctl reload ssh"


@pytest.mark.hint(
    "change it in /etc/ssh/sshd_config or sshd_config.d, then teal ssh -- {}systemctl reload ssh",
    "mend that file, then the same command again",
)
def test_doctor_finds_deploy_keys_that_sudo_or_sshd_does_not_let_in(one: Patient) -> None:
    make_key(one.app.directory / "ci", "ci")
    one.app.teal("setup", "--deploy-key", "ci.pub").ok()
    one.append("/etc/ssh/sshd_config.d/strict.conf", "AllowUsers root")
    one.append("/etc/sudoers.d/odd", "this is no rule")
    one.append("/etc/sudoers.d/teal-shop", "teal ALL=(root) NOPASSWD: ALL")
    found = one.wrong()
    assert "AllowUsers" in found["sshd"]["says"]
    assert any("/etc/sudoers.d/odd" in line for line in found["sudo"]["evidence"])
    assert "-teal ALL=(root) NOPASSWD: ALL" in found["deploy keys"]["evidence"]
    assert hint_of(found["sudo"], "mend that file, then the same command again")
    one.run("rm", "/etc/sudoers.d/odd")
    one.run("sed", "-i", "s/AllowUsers root/AllowUsers root teal/", "/etc/ssh/sshd_config.d/strict.conf")
    one.type(hint_of(found["sshd"], SSHD).partition(", then ")[2])
    one.type(found["deploy keys"]["hint"], "-y")
    assert one.wrong(code=0) == {}
    one.append("/etc/ssh/sshd_config.d/strict.conf", "AllowUser ada")
    found = one.wrong(code=0)
    assert hint_of(found["sshd"], "mend that file, then the same command again")
    assert any("/etc/ssh/sshd_config.d/strict.conf" in line for line in found["sshd"]["evidence"])
    one.run("rm", "/etc/ssh/sshd_config.d/strict.conf")
    assert one.wrong(code=0) == {}


@pytest.mark.hint("teal logs --color {}")
def test_doctor_warns_of_a_program_that_crashed_and_was_restarted(one: Patient) -> None:
    pid = one.app.get()["pid"]
    with pytest.raises(OSError, match="502"):
        one.app.get("/exit")
    wait_until(lambda: _pid(one.app) not in (None, pid))
    found = one.wrong(code=0)["restarts"]
    assert found["state"] == "warning"
    assert "once" in found["says"]
    assert "exited with code 3" in found["says"]
    one.type(hint_of(found, "teal logs --color {}"))


def test_doctor_finds_a_program_that_listens_on_all_addresses(one: Patient) -> None:
    one.app.program(version="v3", bind="0.0.0.0")
    live = one.app.deploy().ok().result
    found = one.wrong()["ports"]
    assert f"{live['color']} listens on 0.0.0.0" in found["says"]
    assert "HOST" in found["hint"]
    for version in ("v4", "v5"):
        one.app.program(version=version)
        one.app.deploy().ok()
    assert one.wrong(code=0) == {}


@pytest.mark.hint(
    "teal logs --color {}; then teal deploy, or teal rollback",
    "teal logs --color {}; the next deploy uses this color again",
)
def test_doctor_finds_a_live_color_and_a_standby_that_were_stopped(one: Patient) -> None:
    live = one.app.status()["live"]
    one.run("systemctl", "stop", f"teal-shop@{live}.service")
    found = one.wrong()["live"]
    assert "is not running" in found["says"]
    assert any("Deactivated" in line or "Stopped" in line for line in found["evidence"])
    logs, _, rest = hint_of(found, "teal logs --color {}; then teal deploy, or teal rollback").partition("; then ")
    one.type(logs)
    one.type(rest.partition(", or ")[0])
    assert one.wrong(code=0).keys() <= {"standby"}
    one.run("systemctl", "stop", f"teal-shop@{live}.service")
    hint = one.hint("standby", "teal logs --color {}; the next deploy uses this color again", code=0)
    one.type(hint.partition(";")[0])
    one.app.program(version="after a stop")
    one.app.deploy().ok()
    assert one.wrong(code=0) == {}


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
def test_doctor_and_first_deploy_warn_when_a_firewall_closes_the_port(one: Patient) -> None:
    one.run("apt-get", "install", "-y", "nftables")
    with firewall(one.server, "drop"):
        row = one.wrong(code=0)["url"]
        assert f"port 80 of {one.server.address} does not answer: a firewall drops it" in row["says"]
        assert row["hint"].startswith(f"{one.server.address} may be known in the server's own network only: ")
        assert "; else open TCP port 80 in the firewall of the server" in row["hint"]
        one.app.teal("destroy", "-y").ok()
        one.app.teal("setup").ok()
        deployed = one.app.deploy().ok()
        (warning,) = warnings(deployed)
        assert f"port 80 of {one.server.address} does not answer" in warning
        assert deployed.result["outcome"] == "live"
        one.app.program(version="v3")
        assert warnings(one.app.deploy().ok()) == []  # only after the first deploy
    assert one.wrong(code=0) == {}
    with firewall(one.server, "reject with tcp reset"):
        row = one.wrong(code=0)["url"]
        assert "refuses the connection" in row["says"]
        assert row["hint"].startswith("open TCP port 80 in the firewall of the server")
    assert one.wrong(code=0) == {}


def test_first_deploy_names_the_record_of_a_name_that_leads_nowhere(one: Patient) -> None:
    app = one.app.world.app("stall")
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
def test_doctor_warns_when_another_site_answers(one: Patient) -> None:
    """The app's own site is healthy, but another default site in front of it gets the visitors."""
    site = f"server {{ listen {one.server.address}:80 default_server; return 200; }}"
    path = one.server.root / "etc/nginx/conf.d/front.conf"
    path.write_text(f"{site}\n")
    one.run("systemctl", "restart", "nginx")
    row = one.wrong(code=10)["url"]
    assert "another site or server answers on port 80" in row["says"]
    assert "; else take that site away, or " in row["hint"]
    path.unlink()
    one.run("systemctl", "restart", "nginx")
    wait_until(lambda: one.wrong(code=0) == {})


def warnings(deployed: Ended) -> list[str]:
    return [line["text"] for line in deployed.lines if line.get("type") == "note" and line["level"] == "warning"]
