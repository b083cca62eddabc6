"""The way to a server with the real ssh and a real sshd: what is sent, as which user, and every error message."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness
from harness import Server
from harness.ssh_access import SshAccess, run, ssh_access, write_program
from harness.terminal import Terminal
from hints.collect import pattern
from teal.ground import run as processes
from teal.ground.errors import CannotReach
from teal.pipe.session import Session
from teal.transports import Transport, ssh

SMALL = 200  # a request without the server side has fewer bytes


@pytest.fixture(scope="module")
def booted(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with ada, who may use sudo, and bob, who may not."""
    directory = tmp_path_factory.mktemp("booted")
    with harness.server(debian, directory, packages=["nginx", "sudo"]) as server:
        access = SshAccess(server, directory)
        access.user("ada", "ALL=(root) NOPASSWD: ALL")
        access.user("bob")
        yield server


@pytest.fixture
def access(booted: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SshAccess:
    monkeypatch.setenv("CI", "true")  # nobody answers a question of ssh
    return ssh_access(booted, tmp_path, monkeypatch)


def refused(transport: Transport) -> CannotReach:
    """Checks that nothing greets and nothing is sent. Returns the error."""
    with pytest.MonkeyPatch.context() as patch:
        sent: list[Session] = []
        patch.setattr(Session, "_send_server_side", lambda session: sent.append(session))
        with pytest.raises(CannotReach) as refusal:
            Session(transport)
    assert sent == []
    assert refusal.value.exit_code == 4
    return refusal.value


def refused_with(transport: Transport, text: str) -> str:
    """The hint of the refusal, which must be this hint."""
    hint = refused(transport).hint
    assert pattern(text).fullmatch(hint), hint
    return hint


def typed(command: str) -> int:
    """The exit code of what a person types here. A login on the server ends at once."""
    argv = ["sh", "-c", f"{command} true" if command.startswith("ssh ") else command]
    return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False).returncode


def on_the_server(access: SshAccess, command: str) -> None:
    """What root types there, who says yes to whatever apt asks."""
    run(access.server, "sh", "-ec", f"export DEBIAN_FRONTEND=noninteractive; yes | {command}")


# --- what is sent, and as whom ------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["root", "ada"])
def test_server_side_is_sent_only_when_it_is_not_installed(access: SshAccess, user: str) -> None:
    shutil.rmtree(access.server.root / "usr/local/lib/teal", ignore_errors=True)
    with Session(access.at(user)) as session:
        assert run(access.server, "stat", "-c", "%u", f"/proc/{session.greeting.pid}").strip() == "0"
        assert session.bytes_sent > 10_000
    access.install()
    answer, sent = access.ask(access.at(user))
    assert (answer.app, sent < SMALL) == ("shop", True)


def another_owner(path: Path) -> None:
    os.chown(path, 1000, 0)


def another_may_write(path: Path) -> None:
    path.chmod(0o775)


def other_sources(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-64] + b"0" * 64)


def cut_short(path: Path) -> None:
    path.write_bytes(b"")


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "spoil", [another_owner, another_may_write, other_sources, cut_short, a_link, a_directory], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("user", ["root", "ada"])
@pytest.mark.row("B13")
@pytest.mark.row("S14")
def test_installed_server_side_is_not_run_when_it_cannot_be_trusted(
    access: SshAccess, spoil: object, user: str
) -> None:
    shutil.rmtree(access.server.root / "usr/local/lib/teal", ignore_errors=True)
    path = access.install()
    assert callable(spoil)
    spoil(path)
    assert access.ask(access.at(user))[1] > 10_000
    shutil.rmtree(path.parent)


def test_archive_that_is_sent_equals_the_archive_that_is_installed(access: SshAccess) -> None:
    """One Python, one table of sources, one archive: from sources, from the archive itself, and through the pipe."""
    path = access.install()
    again = "import sys; from teal_host.ground import archive; from pathlib import Path; p = Path('/root/again')"
    again += "; p.write_bytes(archive.pack(archive.sources()))"
    run(
        access.server,
        "/usr/bin/python3",
        "-c",
        f"import sys; sys.path.insert(0, '/{path.relative_to(access.server.root)}'); {again}",
    )
    assert names(access.server.root / "root/again") == names(path)
    shutil.rmtree(path.parent)


def names(archive: Path) -> list[tuple[str, int]]:
    import zipfile

    with zipfile.ZipFile(archive) as file:
        return [(entry.filename, entry.CRC) for entry in file.infolist() if not entry.filename.endswith(".pyc")]


def test_key_bound_to_the_server_side_greets_at_once(access: SshAccess) -> None:
    access.install()
    key = (access.server.directory / "key.pub").read_text()
    home = access.server.root / "home/bob/.ssh/authorized_keys"
    command = "/usr/local/lib/teal/teal-host --root /home/bob/teal --nginx /usr/sbin/nginx"
    home.write_text(f'restrict,command="{command}" {key}')
    answer, sent = access.ask(access.at("bob"))
    assert (answer.app, sent < SMALL) == ("shop", True)
    greeting = b'{"type":"greeting","protocol":99}'
    (access.server.root / "home/bob/greeting").write_bytes(bytes([0, 0, 0, len(greeting), 0, 0, 0, 0]) + greeting)
    home.write_text(f'restrict,command="echo; echo TEAL-HOST-1; cat greeting" {key}')
    assert refused(access.at("bob")).hint.startswith("teal setup (as the server's admin); ")
    home.write_text(key)
    shutil.rmtree(access.server.root / "usr/local/lib/teal")


# --- sudo ---------------------------------------------------------------------------------------------------------


@pytest.mark.hint("as root on the server: echo '{} ALL=(root) NOPASSWD: ALL' >> /etc/sudoers.d/teal; or log in as root")
def test_user_whom_sudo_asks_for_a_password_gets_the_sudoers_line_to_write(access: SshAccess) -> None:
    rules = access.server.root / "etc/sudoers.d/teal"
    rules.write_text("ada ALL=(root) NOPASSWD: ALL\n")
    error = refused(access.at("bob"))
    assert error.message == f"bob may not use sudo without a password on {access.server.name}"
    assert "bob ALL=(root) NOPASSWD: ALL" in error.hint
    command, _, other = error.hint.removeprefix("as root on the server: ").partition("; or ")
    assert (other, access.ask(access.at("root"))[0].app) == ("log in as root", "shop")
    run(access.server, "sh", "-ec", command)
    assert rules.read_text().startswith("ada ")
    try:
        assert access.ask(access.at("bob"))[0].app == "shop"
    finally:
        rules.unlink()


@pytest.mark.hint("log in as root, or as root on the server: apt install sudo")
def test_missing_sudo_is_named(access: SshAccess) -> None:
    run(access.server, "env", "SUDO_FORCE_REMOVE=yes", "dpkg", "--remove", "sudo")
    error = refused(access.at("ada"))
    assert "there is no sudo" in error.message
    assert access.ask(access.at("root"))[0].app == "shop"
    on_the_server(access, error.hint.rpartition(": ")[2])
    assert access.ask(access.at("ada"))[0].app == "shop"


# --- no way in ----------------------------------------------------------------------------------------------------


ASKS = ("BatchMode no", "StrictHostKeyChecking ask")  # a person, and not Teal in these tests


def logs_in_at_first(command: str, access: SshAccess, tmp_path: Path) -> None:
    """A person types the login, and says yes to the fingerprint that is that of the server."""
    terminal = Terminal(["sh", "-c", command], str(tmp_path), os.environ)
    terminal.wait_for(r"fingerprint is SHA256:\S+")
    fingerprint = run(access.server, "ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub").split()[1]
    assert fingerprint in terminal.seen
    terminal.type("yes\n")
    terminal.wait_for(r"[#$] $")
    terminal.type("exit\n")
    assert terminal.ended() == 0


@pytest.mark.row("B15")
@pytest.mark.hint(
    "{ssh} {login} once, and compare its fingerprint; in CI: put the server's line into {known_hosts}",
    "put the server's line into {known_hosts}, from a machine that knows the server; where somebody can answer: "
    "{ssh} {login} once, and compare its fingerprint",
)
@pytest.mark.parametrize("by", ["a person", "a file"])
def test_unknown_host_key_stops_before_anything_is_sent(
    access: SshAccess, tmp_path: Path, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of whoever reads the error stands first: a person logs in, and CI takes a file."""
    monkeypatch.setattr(ssh, "has_a_person", lambda: by == "a person")
    known = tmp_path / "known_hosts"
    known.touch()
    access.use(access.config(f"UserKnownHostsFile {known}", *ASKS))
    error = refused(access.at())
    assert error.message == f"the host key of {access.server.name} is not known; nothing was sent"
    assert f"ssh root@{access.server.name}" in error.hint
    if by == "a person":
        logs_in_at_first(error.hint.partition(" once, ")[0], access, tmp_path)
    else:
        file = Path(error.hint.removeprefix("put the server's line into ").partition(", ")[0])
        file.write_text((access.server.directory / "known_hosts").read_text())
    assert access.ask(access.at())[0].app == "shop"


@pytest.mark.row("B15")
@pytest.mark.hint(
    "if the server was reinstalled: remove the line that ssh names above (ssh-keygen -R {known_as} -f {known_hosts}), "
    "then {ssh} {login}; if not, somebody intercepts it"
)
@pytest.mark.parametrize("alias", ["", "HostKeyAlias the_shop"])
def test_changed_host_key_stops_before_anything_is_sent(access: SshAccess, tmp_path: Path, alias: str) -> None:
    """At 55bfd35 the hint removed the line of the name in teal.toml, which is not the name of the line."""
    known = tmp_path / "known_hosts"
    name = "the_shop" if alias else access.server.address
    known.write_text(f"{name} {(access.server.directory / 'key.pub').read_text()}")
    lines = [f"UserKnownHostsFile {known}", *ASKS, alias]
    access.use(access.config(*filter(None, lines)))
    error = refused(access.at())
    assert error.message == f"{access.server.name} has another host key than before; nothing was sent"
    forget, login = re.fullmatch(r".*\((ssh-keygen -R .*)\), then (ssh .*); if not, .*", error.hint).groups()  # type: ignore[union-attr]
    assert typed(forget) == 0
    logs_in_at_first(login, access, tmp_path)
    assert access.ask(access.at())[0].app == "shop"


@pytest.mark.hint("ask whoever wrote that: an @revoked line of {known_hosts}, or RevokedHostKeys of ssh")
def test_revoked_host_key_stops_before_anything_is_sent(access: SshAccess, tmp_path: Path) -> None:
    known, lines = tmp_path / "known_hosts", (access.server.directory / "known_hosts").read_text()
    known.write_text("".join(f"@revoked {line}\n" for line in lines.splitlines()) + lines)
    access.use(access.config(f"UserKnownHostsFile {known}"))
    error = refused(access.at())
    assert error.message == f"the host key of {access.server.name} is revoked; nothing was sent"
    file = Path(re.findall(r"line of (\S+), or", error.hint)[0])
    file.write_text("".join(line for line in file.read_text().splitlines(True) if not line.startswith("@revoked")))
    assert access.ask(access.at())[0].app == "shop"


@pytest.mark.hint("does this work: {ssh} {login}")
def test_ssh_key_that_is_not_let_in_is_reported(access: SshAccess) -> None:
    keys = access.server.root / "root/.ssh/authorized_keys"
    keys.rename(keys.with_name("away"))
    try:
        error = refused(access.at())
        login = error.hint.partition(": ")[2]
        assert error.message == f"{access.server.name} does not accept the login"
        assert typed(login) == 255
    finally:
        keys.with_name("away").rename(keys)
    assert typed(login) == 0
    assert access.ask(access.at())[0].app == "shop"


@pytest.mark.hint("mend the line that ssh names above")
def test_mistake_in_the_configuration_of_ssh_is_named(access: SshAccess, capfd: pytest.CaptureFixture[str]) -> None:
    access.use(access.config("HostName_ x"))
    refused_with(access.at(), "mend the line that ssh names above")
    file, line = re.findall(r"^(\S+): line (\d+): ", capfd.readouterr().err, re.MULTILINE)[0]
    lines = Path(file).read_text().splitlines()
    del lines[int(line) - 1]
    Path(file).write_text("\n".join(lines))
    assert access.ask(access.at())[0].app == "shop"


@pytest.mark.hint("look at [server] target in teal.toml, or at TEAL_TARGET")
def test_unknown_host_name_is_reported(access: SshAccess) -> None:
    error = refused(access.at(target="ssh://root@no-such-host.invalid"))
    if error.hint != "is this machine online?":  # then it has no name server, and says so
        assert error.message == "there is no host called no-such-host.invalid"
        assert error.hint == "look at [server] target in teal.toml, or at TEAL_TARGET"
    assert access.ask(access.at())[0].app == "shop"


@pytest.mark.hint('is sshd running there, and on which port? target = "ssh://USER@HOST:PORT"')
def test_closed_port_is_reported_as_a_refused_connection(access: SshAccess) -> None:
    error = refused(access.at(target=f"ssh://root@{access.server.address}:1"))
    assert error.message.startswith(f"{access.server.address} refuses the connection")
    port = run(access.server, "sh", "-c", "sshd -T | grep ^port").split()[1]
    target = error.hint.split('"')[1].replace("USER", "root").replace("HOST", access.server.name)
    assert access.ask(access.at(target=target.replace("PORT", port)))[0].app == "shop"


@pytest.mark.hint("is the address right, is it on, does a firewall block ssh?")
def test_silent_server_is_reported_as_not_answering(access: SshAccess) -> None:
    access.use(access.config("ConnectTimeout 1"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refused(access.at(target=f"ssh://root@127.0.0.1:{silent.getsockname()[1]}"))
    assert error.message == "127.0.0.1 does not answer"
    assert error.hint == "is the address right, is it on, does a firewall block ssh?"
    assert access.ask(access.at())[0].app == "shop"


@pytest.mark.hint("is this machine online?")
@pytest.mark.parametrize("target", ["", "ssh://root@shop.example"])
def test_machine_without_a_network_is_asked_about(access: SshAccess, target: str) -> None:
    """At 55bfd35 there was "no host called shop.example", and the hint was to look at teal.toml."""
    ssh = access.programs / "ssh"
    online = ssh.read_text()
    write_program(ssh, online.replace("exec ", "exec unshare --net "))
    assert refused(access.at(target=target)).hint == "is this machine online?"
    write_program(ssh, online)
    assert access.ask(access.at())[0].app == "shop"


@pytest.mark.hint("give this user a line in /etc/passwd, such as with useradd, or run Teal as a user that has one")
def test_user_without_a_line_in_the_password_file_is_named(access: SshAccess) -> None:
    ssh = access.programs / "ssh"
    with_a_line = ssh.read_text()
    write_program(ssh, with_a_line.replace("exec ", "exec unshare --user --map-user=54321 "))
    error = refused(access.at())
    assert error.message == "ssh does not start, because this user is not in the password file"
    write_program(ssh, with_a_line)
    assert access.ask(access.at())[0].app == "shop"


def test_missing_ssh_client_is_named(access: SshAccess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    error = refused(access.at())
    assert (error.message, error.hint) == ("cannot start ssh: No such file or directory", "apt install openssh-client")


def test_ipv6_address_with_a_zone_is_reached(access: SshAccess) -> None:
    link_local = run(access.server, "ip", "-6", "-o", "addr", "show", "dev", "host0", "scope", "link")
    address = link_local.split()[3].split("/")[0]
    known = access.programs / "known_hosts"
    known.write_text(f"* {(access.server.root / 'etc/ssh/ssh_host_ed25519_key.pub').read_text()}")
    keys = f"IdentityFile {access.server.directory / 'key'}"
    access.use(access.config(f"UserKnownHostsFile {known}", keys, "IdentitiesOnly yes"))
    zone = f"teal-{access.server.address.split('.')[2]}"
    answer, _ = access.ask(access.at(target=f"ssh://root@[{address}%{zone}]:22"))
    assert answer.app == "shop"


def test_jump_host_of_the_ssh_configuration_is_used(access: SshAccess) -> None:
    """The server is its own jump host: the inner address 127.0.0.1 is that of the server."""
    config = access.config()
    inner = [
        "Host inner",
        f"    HostName 127.0.0.1\n    ProxyJump {access.server.name}",
        f"    HostKeyAlias {access.server.address}\n    IdentityFile {access.server.directory / 'key'}",
        f"    UserKnownHostsFile {access.server.directory / 'known_hosts'}",
    ]
    config.write_text(config.read_text() + "\n".join(inner) + "\n")
    access.use(config)
    answer, _ = access.ask(access.at(target="ssh://ada@inner"))
    assert answer.app == "shop"


def test_control_master_of_the_ssh_configuration_is_used_and_stays_open(
    access: SshAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = access.programs / "master"
    access.use(access.config("ControlMaster auto", "ControlPersist 600", f"ControlPath {master}-%r"))
    monkeypatch.setattr(processes, "ENDS_WITHIN_S", 600.0)
    try:
        for _ in range(2):
            began = time.monotonic()
            assert access.ask(access.at())[0].app == "shop"
            assert time.monotonic() - began < 300  # nothing waits for the end of what the master holds open
            assert Path(f"{master}-root").is_socket()
        error = refused(access.at(user="bob"))
        assert error.message.startswith("bob may not use sudo")
    finally:
        for name in ("root", "bob"):
            subprocess.run(["ssh", "-O", "exit", f"{name}@{access.server.name}"], capture_output=True, check=False)


# --- no Python, or half of one ------------------------------------------------------------------------------------


@pytest.mark.hint("a login script there (.profile, .bashrc) should print nothing where there is no terminal")
def test_login_script_without_end_is_named(access: SshAccess) -> None:
    bashrc = access.server.root / "home/ada/.bashrc"
    before = bashrc.read_text()
    prints = "for i in $(seq 20000); do echo Welcome to the shop; done"
    bashrc.write_text(f"{prints}\n{before}")
    try:
        assert refused(access.at("ada")).hint.startswith(
            "a login script there (.profile, .bashrc) should print nothing"
        )
        bashrc.write_text(f"if [ -t 1 ]; then {prints}; fi\n{before}")
        assert access.ask(access.at("ada"))[0].app == "shop"
    finally:
        bashrc.write_text(before)


def test_login_script_output_is_skipped(access: SshAccess) -> None:
    bashrc = access.server.root / "home/ada/.bashrc"
    before = bashrc.read_text()
    bashrc.write_text("echo Welcome; printf 'no line break'; echo to the errors >&2\n" + before)
    try:
        assert access.ask(access.at("ada"))[0].app == "shop"
    finally:
        bashrc.write_text(before)


@pytest.mark.row("B11")
def test_missing_python_is_named(access: SshAccess) -> None:
    python = access.server.root / "usr/bin/python3"
    python.rename(python.with_name("python3.away"))
    try:
        error = refused(access.at())
    finally:
        python.with_name("python3.away").rename(python)
    assert error.message == f"there is no python3 on {access.server.name}"
    assert error.hint == "as root on the server: apt install python3"


@pytest.mark.row("B11")
@pytest.mark.hint("as root on the server: apt install python3")
def test_incomplete_python_is_named(debian: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with harness.server(debian, tmp_path) as server:
        access = ssh_access(server, tmp_path, monkeypatch)
        (rest,) = run(server, "sh", "-c", "dpkg-query -W -f '${Package}\\n' 'libpython3.*-stdlib'").split()
        run(server, "apt-get", "remove", "-y", rest)  # python3-minimal stays
        with pytest.raises(CannotReach, match="is incomplete: it has no module") as refusal:
            Session(access.at())
        on_the_server(access, refusal.value.hint.rpartition(": ")[2])
        assert access.ask(access.at())[0].app == "shop"
