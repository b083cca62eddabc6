"""The way to a server with the real ssh and a real sshd: what is sent, as which user, and every error message."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness
from harness import Server
from harness.ssh_access import SshAccess, run, ssh_access
from teal.ground import run as processes
from teal.ground.errors import CannotReach
from teal.pipe.session import Session
from teal.transports import Transport

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
    return ssh_access(booted, tmp_path, monkeypatch)


def refused(transport: Transport) -> CannotReach:
    """Checks that nothing greets and nothing is sent. Returns the error."""
    with pytest.MonkeyPatch.context() as patch:
        sent: list[Session] = []
        patch.setattr(Session, "_send_server_side", lambda session: sent.append(session))
        with pytest.raises(CannotReach) as found:
            Session(transport)
    assert sent == []
    assert found.value.exit_code == 4
    return found.value


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
    assert refused(access.at("bob")).hint == "teal setup"
    home.write_text(key)
    shutil.rmtree(access.server.root / "usr/local/lib/teal")


# --- sudo ---------------------------------------------------------------------------------------------------------


def test_user_whom_sudo_asks_for_a_password_gets_the_sudoers_line_to_write(access: SshAccess) -> None:
    error = refused(access.at("bob"))
    assert error.message == f"bob may not use sudo without a password on {access.server.name}"
    assert "bob ALL=(root) NOPASSWD: ALL" in error.hint


def test_missing_sudo_is_named(access: SshAccess) -> None:
    sudo = access.server.root / "usr/bin/sudo"
    sudo.rename(sudo.with_name("sudo.away"))
    try:
        error = refused(access.at("ada"))
    finally:
        sudo.with_name("sudo.away").rename(sudo)
    assert "there is no sudo" in error.message


# --- no way in ----------------------------------------------------------------------------------------------------


@pytest.mark.row("B15")
def test_unknown_host_key_stops_before_anything_is_sent(access: SshAccess) -> None:
    access.use(access.config("UserKnownHostsFile /dev/null"))
    error = refused(access.at())
    assert error.message == f"the host key of {access.server.name} is not known; nothing was sent"
    assert f"ssh root@{access.server.name}" in error.hint


@pytest.mark.row("B15")
def test_changed_host_key_stops_before_anything_is_sent(access: SshAccess) -> None:
    known = access.programs / "known_hosts"
    known.write_text(f"{access.server.address} {(access.server.directory / 'key.pub').read_text()}")
    access.use(access.config(f"UserKnownHostsFile {known}"))
    error = refused(access.at())
    assert error.message == f"{access.server.name} has another host key than before; nothing was sent"
    assert "ssh-keygen -R" in error.hint


def test_ssh_key_that_is_not_let_in_is_reported(access: SshAccess) -> None:
    access.use(access.config("IdentityFile /nonexistent"))
    key = access.server.directory / "key"
    (access.server.root / "root/.ssh/authorized_keys").rename(access.server.root / "root/.ssh/away")
    try:
        assert refused(access.at()).message == f"{access.server.name} does not accept the login"
    finally:
        (access.server.root / "root/.ssh/away").rename(access.server.root / "root/.ssh/authorized_keys")
    assert key.exists()


def test_unknown_host_name_is_reported(access: SshAccess) -> None:
    error = refused(access.at(target="ssh://root@no-such-host.invalid"))
    assert error.message == "there is no host called no-such-host.invalid"


def test_closed_port_is_reported_as_a_refused_connection(access: SshAccess) -> None:
    error = refused(access.at(target=f"ssh://root@{access.server.address}:1"))
    assert error.message.startswith(f"{access.server.address} refuses the connection")


def test_silent_server_is_reported_as_not_answering(access: SshAccess) -> None:
    access.use(access.config("ConnectTimeout 1"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = refused(access.at(target=f"ssh://root@127.0.0.1:{silent.getsockname()[1]}"))
    assert error.message == "127.0.0.1 does not answer"


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
    assert "apt install python3" in error.hint


@pytest.mark.row("B11")
def test_incomplete_python_is_named(debian: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with harness.server(debian, tmp_path) as server:
        access = ssh_access(server, tmp_path, monkeypatch)
        (rest,) = run(server, "sh", "-c", "dpkg-query -W -f '${Package}\\n' 'libpython3.*-stdlib'").split()
        run(server, "dpkg", "--remove", "--force-depends", rest)
        with pytest.raises(CannotReach, match="is incomplete: it has no module") as found:
            Session(access.at())
    assert "apt install python3" in found.value.hint
