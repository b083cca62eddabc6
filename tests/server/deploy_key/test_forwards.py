"""A deploy key forwards nothing: no port, no socket, no jump to another host."""

import socket
import subprocess
from pathlib import Path

import pytest

from harness.deploy_keys import KeyedServer
from harness.world import free_ports, wait_until


@pytest.mark.row("S30")
def test_deploy_key_reaches_nothing_through_local_forwards(keyed: KeyedServer, tmp_path: Path) -> None:
    """Tries -L to a port, to another app and to systemd's bus, and -D, all on one connection that sshd accepts."""
    port, other, socks = free_ports(3)
    bus = tmp_path / "bus"
    forwards = ["-L", f"{port}:127.0.0.1:80", "-L", f"{other}:127.0.0.1:8083", "-D", f"127.0.0.1:{socks}"]
    forwards += ["-L", f"{bus}:/run/dbus/system_bus_socket"]
    with keyed.open(*forwards, "-o", "ExitOnForwardFailure=yes"):
        ask = b"GET /healthz HTTP/1.0\r\n\r\n"
        assert reached(port, ask) == reached(other, ask) == b""
        through_socks = b"\5\1\0", b"\5\1\0\1\x7f\0\0\1\0\x50" + ask
        assert b"HTTP" not in reached(socks, *through_socks)
        assert reached(bus, b"\0AUTH EXTERNAL 30\r\n") == b""


def reached(where: "int | Path", *pieces: bytes) -> bytes:
    """Sends these bytes, and returns what comes back until the end."""
    heard = b""
    with socket.socket(socket.AF_UNIX if isinstance(where, Path) else socket.AF_INET) as line:
        line.settimeout(60)
        line.connect(str(where) if isinstance(where, Path) else ("127.0.0.1", where))
        try:
            for words in pieces:
                line.sendall(words)
            while piece := line.recv(4096):
                heard += piece
        except ConnectionError:
            pass
    return heard


REFUSED_FORWARDS = {
    "-R": ["-N", "-o", "ExitOnForwardFailure=yes", "-R", "9099:127.0.0.1:22"],
    "-R as a proxy": ["-N", "-o", "ExitOnForwardFailure=yes", "-R", "9098"],
    "-R of a socket": ["-N", "-o", "ExitOnForwardFailure=yes", "-R", "/tmp/pwned:127.0.0.1:22"],
    "-W": ["-W", "127.0.0.1:80"],
    "-W to another app": ["-W", "127.0.0.1:8083"],
    "-w": ["-N", "-o", "ExitOnForwardFailure=yes", "-w", "0:0"],
}


@pytest.mark.parametrize("name", list(REFUSED_FORWARDS))
@pytest.mark.row("S30")
def test_deploy_key_is_refused_other_forwards(keyed: KeyedServer, name: str) -> None:
    with keyed.unchanged():
        done = keyed.ssh(*REFUSED_FORWARDS[name], stdin=b"GET / HTTP/1.0\r\n\r\n")
    assert (done.returncode, done.stdout) == (255, b"")
    assert keyed.server.run("ip", "-o", "link", "show", "type", "tun").stdout == ""


@pytest.mark.row("S30")
def test_deploy_key_is_refused_as_a_jump_host(keyed: KeyedServer) -> None:
    jump = f"ssh -F {keyed.config()} -l teal -W %h:%p {keyed.server.name}"
    argv = ["ssh", "-F", str(keyed.server.ssh_config), "-o", f"ProxyCommand={jump}", keyed.server.name, "id"]
    done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (255, b"")


@pytest.mark.row("S25")
def test_deploy_key_connection_without_a_request_does_nothing_and_is_in_the_log(keyed: KeyedServer) -> None:
    before = len(keyed.audit())
    with subprocess.Popen(keyed.ssh_argv("-N"), stdin=subprocess.DEVNULL) as ssh:
        mark = keyed.server.run("journalctl", "--show-cursor", "-n", "0").stdout.split(":", 1)[1].strip()
        with subprocess.Popen(keyed.ssh_argv("-N"), stdin=subprocess.DEVNULL) as second:
            wait_until(lambda: keyed.fingerprint() in logged(keyed, mark))
            second.kill()
        ssh.kill()
    assert len(keyed.audit()) == before


def logged(keyed: KeyedServer, cursor: str) -> str:
    """The log of sshd since the cursor."""
    return keyed.server.run("journalctl", "--after-cursor", cursor, "-t", "sshd", "-t", "sshd-session").stdout
