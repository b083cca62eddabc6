"""The test servers themselves: what other tests assume about them."""

import os
import select
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

import harness
from harness import Server
from harness.booted_server import PATIENCE_S
from harness.resources import Resources
from harness.world import wait_until

TESTS = Path(__file__).parents[1]


def out(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_servers_of_both_debians_run_side_by_side(tmp_path: Path) -> None:
    with harness.server(12, tmp_path) as bookworm, harness.server(13, tmp_path) as trixie:
        for server in (bookworm, trixie):
            assert out(server.ssh("cat", "/etc/debian_version")).startswith(f"{server.debian}.")
            assert out(server.run("hostname")) == server.name
        assert bookworm.address != trixie.address
        assert out(bookworm.ssh("cat", "/etc/machine-id")) != out(trixie.ssh("cat", "/etc/machine-id"))


def test_server_boots_without_a_failed_unit(server: Server) -> None:
    failed = out(server.ssh("systemctl", "list-units", "--failed", "--plain", "--no-legend"))
    assert (server.settled(), failed) == ("running", "")


def test_ssh_passes_arguments_and_streams_on_unchanged(server: Server) -> None:
    done = server.ssh("sh", "-c", 'cat; echo "$1"; echo no >&2; exit 3', "sh", "two  words; $HOME", stdin="read\n")
    assert (done.returncode, done.stdout, done.stderr) == (3, "read\ntwo  words; $HOME\n", "no\n")


def test_ssh_refuses_a_server_with_another_host_key(server: Server) -> None:
    known = server.directory / "known_hosts"
    other = (server.directory / "key.pub").read_text()
    known.write_text(f"{server.address} {other}")
    assert "Host key verification failed" in server.ssh("true").stderr


def test_server_reaches_the_apt_mirror_and_nothing_else(server: Server) -> None:
    out(server.ssh("apt-get", "install", "-y", "nginx", deadline_s=300))
    straight = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # without any proxy of this host
    with straight.open(f"http://{server.address}/", timeout=60) as answer:
        assert answer.status == 200
    proxied = "import urllib.request as r; r.build_opener(r.ProxyHandler({'http': 'http://127.0.0.1:3142'})).open('%s')"
    assert "403" in server.ssh("python3", "-c", proxied % "http://localhost/").stderr
    direct = "import socket; socket.create_connection(('198.51.100.1', 80), 5)"
    assert "unreachable" in server.ssh("python3", "-c", direct).stderr


def test_reboot_keeps_the_disk_and_clears_run(server: Server) -> None:
    before = out(server.ssh("cat", "/proc/sys/kernel/random/boot_id"))
    server.ssh("touch", "/root/kept", "/run/gone")
    server.reboot()
    assert out(server.ssh("cat", "/proc/sys/kernel/random/boot_id")) != before
    assert out(server.ssh("ls", "/root")) == "kept"
    assert server.ssh("ls", "/run/gone").returncode != 0


def test_server_comes_back_after_a_reboot_that_it_asked_for(server: Server) -> None:
    leader = server.leader()
    server.ssh("systemctl", "reboot")
    wait_until(lambda: server.leader() not in (None, leader) and server.ssh("true").returncode == 0, PATIENCE_S)


def test_server_starts_again_after_a_hard_power_off(server: Server) -> None:
    server.ssh("touch", "/root/kept")
    server.power_off_hard()
    assert server.leader() is None
    assert server.ssh("true").returncode == 255
    server.start()
    assert out(server.ssh("ls", "/root")) == "kept"


def test_power_cut_leaves_only_what_was_synced(debian: int, tmp_path: Path) -> None:
    if reason := harness.why_no_disk():
        pytest.skip(reason)
    with harness.server(debian, tmp_path, own_disk=True) as server:
        assert "volatile" not in out(server.ssh("grep", "overlay / overlay", "/proc/mounts"))
        out(server.ssh("sh", "-c", "cd /root; mkdir a; echo 1 > a/file; echo 1 > file; sync a/file a file ."))
        out(server.ssh("sh", "-c", "cd /root; echo 2 > new; mv new file; touch a/late; rm a/file"))
        server.cut_power()
        assert server.leader() is None
        for _ in range(2):  # what survives one cut survives the next
            server.start()
            assert out(server.ssh("sh", "-c", "cd /root; cat file a/file; ls a")).split() == ["1", "1", "file"]
            server.cut_power()


def test_file_listing_changes_only_when_somebody_changes_a_file(server: Server) -> None:
    before = server.files()
    server.reboot()
    server.settled()
    assert server.files() == before
    server.ssh("sh", "-c", "echo x >> /etc/hosts; touch /root/new; chmod 700 /opt; mkdir /srv/data; touch /srv/data/x")
    after = server.files(ignoring=["/srv/data"])
    assert {path for path in before | after if before.get(path) != after.get(path)} == {
        *("/etc/hosts", "/root/new", "/opt")
    }


@pytest.mark.parametrize("keeper_too", [False, True])
def test_killed_test_leaves_nothing_behind(tmp_path: Path, keeper_too: bool) -> None:
    """The keeper removes the server at once. Without a keeper, the next server that is booted does."""
    code = "import harness, sys, pathlib as p; "
    code += "s = harness.boot(12, p.Path(sys.argv[1]), own_disk=not harness.why_no_disk()); "
    code += "print(s._resources.number, s._resources.directory, s._power.keeper.pid, flush=True); input()"
    argv = [sys.executable, "-c", code, str(tmp_path)]
    pipe, env = subprocess.PIPE, {**os.environ, "PYTHONPATH": str(TESTS)}
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, env=env) as test:
        assert test.stdout
        number, directory, keeper = test.stdout.readline().split()
        resources = Resources(int(number), Path(directory))
        assert all(remains(resources).values())
        if keeper_too:
            kill(int(keeper))
        test.kill()
    if keeper_too:
        with harness.server(12, tmp_path / "next"):
            pass
    wait_until(lambda: not any(remains(resources).values()), PATIENCE_S)


def kill(pid: int) -> None:
    """Kills a process and waits until it has released everything."""
    alive = os.pidfd_open(pid)
    signal.pidfd_send_signal(alive, signal.SIGKILL)
    assert select.select([alive], [], [], 60)[0]
    os.close(alive)


def remains(resources: Resources) -> dict[str, bool]:
    paths = {
        "cgroup": resources.cgroup,
        "namespace": resources.namespace,
        "interface": Path("/sys/class/net", resources.id),
        "files": resources.root,
        "changes": resources.changes,
        "disk": resources.disk,
    }
    return {what: path.exists() for what, path in paths.items()}
