"""Machines that are full, read-only, odd, or at the end of a bad line: it is said in words, and the old one serves."""

import contextlib
import os
import re
import signal
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from bench.link import Link, wire

from beside import beside
from server.shop import Shop
from servers.reach import program, run
from world import wait_until

HOME = "/var/lib/teal/shop"
RELEASES = f"{HOME}/releases"
LARGE = 48_000_000


def sh(shop: Shop, text: str) -> str:
    return run(shop.server, "sh", "-ec", text)


# --- disks ----------------------------------------------------------------------------------------------------------


@contextmanager
def small_disk(shop: Shop, options: str) -> Iterator[None]:
    """The releases are on a disk of their own; what is put on it in the block goes with it."""
    sh(shop, f"cp -a {RELEASES} /srv/kept; mount -t tmpfs -o {options} tmpfs {RELEASES}; cp -a /srv/kept/. {RELEASES}")
    try:
        yield
    finally:
        sh(shop, f"umount {RELEASES}; rm -rf /srv/kept")


def large_version(shop: Shop, size: int = LARGE) -> str:
    version = shop.new_version()
    folder = shop.app.directory / "dist"
    folder.mkdir(exist_ok=True)
    (shop.app.directory / "program").rename(folder / "program")
    (folder / "large").write_bytes(os.urandom(size))
    shop.config(build={"artifact": "dist"})
    return version


@pytest.mark.row("F1", "F3")
def test_an_artifact_for_which_there_is_no_room_is_refused_before_it_is_sent(shop: Shop) -> None:
    version = shop.serving()
    large_version(shop)
    with small_disk(shop, "size=80m"):
        for options, says in (("size=80m", "bytes free, this release needs"), ("size=1g,nr_inodes=90", "inodes free")):
            sh(shop, f"mount -o remount,{options} {RELEASES}")
            refused = shop.app.deploy()
            assert (refused.code, refused.result["outcome"]) == (3, "refused")
            assert says in refused.result["error"]["message"]
            assert refused.result["bytes_sent"] < LARGE / 10
        shop.check_settled(version)


@pytest.mark.row("F1")
def test_a_disk_that_gets_full_during_the_upload_ends_it_and_nothing_of_it_stays(shop: Shop) -> None:
    version = shop.serving()
    large_version(shop)
    with small_disk(shop, "size=130m"), beside(shop.app, "deploy", "--json") as running:
        running.wait_for(type="progress", step="upload")
        os.kill(running.server_side(), signal.SIGSTOP)  # which is ssh: so that it is filled in the middle
        sh(shop, f"cat /dev/zero > {RELEASES}/filler || true")
        os.kill(running.server_side(), signal.SIGCONT)
        ended = running.ended()
        assert (ended.code, ended.result["outcome"]) == (1, "refused")
        assert "No space left on device" in ended.result["error"]["message"]
        assert sh(shop, f"ls -A {RELEASES} | grep upload || true") == ""
        shop.check_serves(version)
    shop.config()
    shop.check_settled(shop.deployed())


@pytest.mark.row("F4")
def test_nothing_of_it_needs_room_in_tmp_or_run(shop: Shop) -> None:
    version = shop.serving()
    for place in ("/tmp", "/var/tmp"):
        sh(shop, f"mount -t tmpfs -o size=4k tmpfs {place}; cat /dev/zero > {place}/filler || true")
    sh(shop, "cat /dev/zero > /run/filler || true")
    try:
        assert sh(shop, "df --output=avail /tmp /var/tmp /run").split()[1:] == ["0", "0", "0"]
        shop.app.teal("setup", "-y").ok()
        shop.deployed()
        shop.app.teal("rollback").ok()
        shop.check_settled(version)
    finally:
        sh(shop, "rm /run/filler")
        for place in ("/tmp", "/var/tmp"):
            sh(shop, f"umount -l {place}")


@contextmanager
def mounted(shop: Shop, place: str, how: str) -> Iterator[None]:
    sh(shop, f"mount --bind {place} {place}; mount -o remount,bind,{how} {place}")
    try:
        yield
    finally:
        sh(shop, f"umount -l {place}")


@pytest.mark.row("A14")
def test_a_disk_that_has_become_read_only_is_named_and_the_old_one_serves(shop: Shop) -> None:
    version = shop.deployed()
    shop.new_version()
    with mounted(shop, HOME, "ro"):
        for command in ("deploy", "rollback"):
            refused = shop.app.teal(command, "--json")
            assert (refused.code, refused.result["outcome"]) == (1, "refused")
            assert f"Read-only file system ({HOME}" in refused.result["error"]["message"]
        shop.check_serves(version)
    shop.check_settled(version)


@pytest.mark.row("F15")
def test_a_disk_from_which_nothing_may_be_executed_is_named(shop: Shop) -> None:
    version = shop.serving()
    shop.new_version()
    with mounted(shop, RELEASES, "noexec"):
        refused = shop.app.deploy()
    assert (refused.code, refused.result["outcome"]) == (6, "unhealthy")
    told = [refused.result["error"]["message"], *refused.result["error"]["evidence"]]
    assert any("cannot be started: Permission denied" in line for line in told), told
    shop.check_settled(version)


# --- customs of a machine -------------------------------------------------------------------------------------------


@contextmanager
def instead(shop: Shop, path: str, text: str) -> Iterator[None]:
    file = shop.server.root / path
    before = file.read_text() if file.exists() else None
    file.write_text(text)
    try:
        yield
    finally:
        file.unlink() if before is None else file.write_text(before)


@contextmanager
def without_ipv6(shop: Shop) -> Iterator[None]:
    switch = "/proc/sys/net/ipv6/conf/all/disable_ipv6"
    sh(shop, f"mount -o remount,rw /proc/sys; echo 1 > {switch}; systemctl restart nginx")
    try:
        yield
    finally:
        sh(shop, f"echo 0 > {switch}; systemctl restart nginx")


@pytest.mark.row("F13", "H8")
def test_language_zone_and_names_of_the_machine_change_nothing_nor_does_it_need_ipv6(shop: Shop) -> None:
    """All that asks the machine's own programs. The zone is as POSIX writes it, which needs no table."""
    before = shop.serving()
    odd = 'export LANG=de_DE.UTF-8 LC_ALL=tr_TR.UTF-8 LANGUAGE=de TZ="<+0545>-5:45"\n'
    hosts = f"::1 localhost {shop.server.name}\n"
    with instead(shop, "root/.bashrc", odd), instead(shop, "etc/hosts", hosts), without_ipv6(shop):
        assert "+0545" in shop.server.ssh("date").stdout
        assert sh(shop, "cat /proc/net/if_inet6; getent hosts localhost").split() == [
            "::1",
            "localhost",
            shop.server.name,
        ]
        shop.deployed()
        shop.app.teal("rollback").ok()
        shop.new_version(exits=41)
        refused = shop.app.deploy()
        assert (refused.code, "exited with code 41" in refused.result["error"]["message"]) == (6, True)
        assert any("│ version v" in line for line in refused.result["error"]["evidence"])
        shop.config()
        assert shop.app.teal("setup", "--json", "-y").ok().result["changes"] == []
        assert {line["color"] for line in shop.app.teal("logs", "--json").ok().result["lines"]} == {"blue", "green"}
        shop.app.teal("doctor").ok()
        shop.check_settled(before)


# --- lines ----------------------------------------------------------------------------------------------------------


@contextmanager
def by_way_of(shop: Shop, port: int) -> Iterator[None]:
    """ssh goes to this port of 127.0.0.1, with a connection of its own for each command."""
    ssh = shop.app.world.home / "bin/ssh"
    before = ssh.read_text()
    config = shop.server.directory / "detour"
    detour = f"Host *\n    HostName 127.0.0.1\n    Port {port}\n    HostKeyAlias {shop.server.address}\n"
    config.write_text(detour + shop.server.ssh_config.read_text())
    program(ssh, f"#!/bin/sh\nexec /usr/bin/ssh -F '{config}' \"$@\"\n")
    try:
        yield
    finally:
        program(ssh, before)


@contextmanager
def dropping(shop: Shop, one_in: int) -> Iterator[None]:
    """So many packets of ssh never arrive, either way; at the end some must have been missed."""
    run(shop.server, "apt-get", "install", "-y", "nftables")
    lost = f"numgen inc mod {one_in} 0 counter drop"  # counted, not random: a round without a loss would show nothing
    chains = {"input": f"tcp dport 22 {lost}", "output": f"tcp sport 22 {lost}"}
    rules = " ".join(f"chain {way} {{ type filter hook {way} priority 0; {rule}; }}" for way, rule in chains.items())
    run(shop.server, "nft", f"table inet lossy {{ {rules} }}")
    try:
        yield
        told = run(shop.server, "nft", "list", "table", "inet", "lossy")
        assert all(int(count) > 0 for count in re.findall(r"packets (\d+)", told)), told
    finally:
        run(shop.server, "nft", "delete", "table", "inet", "lossy")


@pytest.mark.row("B9")
def test_over_a_slow_line_that_loses_packets_it_takes_its_time_and_says_how_far_it_is(shop: Shop) -> None:
    """80 kbit/s, a third of a second there and back, and one packet in fifty lost."""
    shop.serving()
    version = large_version(shop, 8_000)
    line = wire(Link("bad", 300, 0.08), shop.server.address, 22)
    with dropping(shop, 50), line as bad, by_way_of(shop, bad.port):
        ended = shop.app.deploy().ok()
    assert ended.result["outcome"] == "live"
    told = [event["done"] for event in ended.lines if event["type"] == "progress" and event["step"] == "upload"]
    assert told == sorted(told)
    assert told[-1] > 8_000
    shop.config()
    shop.check_settled(version)


class Relay:
    """Between ssh and sshd, until it resets both of its connections."""

    def __init__(self, address: str) -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self._address = address
        self._ends: list[socket.socket] = []
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def reset(self) -> None:
        """RST, not FIN: what is on its way is thrown away."""
        for end in self._ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.shutdown(socket.SHUT_RD)  # who reads from it lets go of it
        for end in self._ends:
            end.close()
        self._door.close()

    def _serve(self) -> None:
        near, _ = self._door.accept()
        far = socket.create_connection((self._address, 22))
        self._ends = [near, far]
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)


@pytest.mark.row("B5")
@pytest.mark.parametrize(("step", "code", "outcome"), [("upload", 4, "refused"), ("health", 9, "unknown")])
def test_a_line_that_is_reset_is_as_one_that_is_cut(shop: Shop, step: str, code: int, outcome: str) -> None:
    old, relay = shop.serving(), Relay(shop.server.address)
    new = large_version(shop) if step == "upload" else shop.new_version(starts_after=0.3)
    with by_way_of(shop, relay.port), beside(shop.app, "deploy", "--json") as running:
        if step == "upload":
            running.wait_for(type="progress", step=step)
        else:
            running.wait_for(type="step", name=step, state="started")
        relay.reset()
        ended = running.ended()
    assert (ended.code, ended.result["outcome"]) == (code, outcome)
    shop.config()
    wait_until(lambda: shop.app.status()["notes"] == [])
    shop.check_settled(old if step == "upload" else new)
