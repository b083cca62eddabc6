"""Machines that are full, read-only or odd: Teal names the fault, and the live release serves on."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from harness.background import in_background
from harness.ssh_access import run
from server.shop import Shop

HOME = "/var/lib/teal/shop"
RELEASES = f"{HOME}/releases"
LARGE = 48_000_000


def sh(shop: Shop, text: str) -> str:
    return run(shop.server, "sh", "-ec", text)


# --- disks ----------------------------------------------------------------------------------------------------------


@contextmanager
def small_disk(shop: Shop, options: str) -> Iterator[None]:
    """Puts the releases on their own small disk. What the block writes there goes with the disk."""
    sh(shop, f"cp -a {RELEASES} /srv/kept; mount -t tmpfs -o {options} tmpfs {RELEASES}; cp -a /srv/kept/. {RELEASES}")
    try:
        yield
    finally:
        sh(shop, f"umount {RELEASES}; rm -rf /srv/kept")


@pytest.mark.row("F1", "F3")
def test_artifact_without_room_on_the_disk_is_refused_before_the_upload(shop: Shop) -> None:
    version = shop.serving()
    shop.new_large_version(LARGE)
    with small_disk(shop, "size=80m"):
        for options, complaint in (
            ("size=80m", "bytes free, this release needs"),
            ("size=1g,nr_inodes=90", "inodes free"),
        ):
            sh(shop, f"mount -o remount,{options} {RELEASES}")
            refused = shop.app.deploy()
            assert (refused.code, refused.result["outcome"]) == (3, "refused")
            assert complaint in refused.result["error"]["message"]
            assert refused.result["bytes_sent"] < LARGE / 10
        shop.check_settled(version)


@pytest.mark.row("F1")
def test_full_disk_during_the_upload_refuses_the_deploy_and_leaves_nothing_of_the_upload(shop: Shop) -> None:
    version = shop.serving()
    shop.new_large_version(LARGE)
    with small_disk(shop, "size=130m"), in_background(shop.app, "deploy", "--json") as running:
        running.wait_for(type="progress", step="upload")
        os.kill(running.server_side(), signal.SIGSTOP)  # this process is ssh, so the disk fills during the upload
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
def test_setup_deploy_and_rollback_need_no_room_in_tmp_or_run(shop: Shop) -> None:
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
def test_read_only_disk_is_named_and_the_live_release_serves_on(shop: Shop) -> None:
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
def test_noexec_disk_is_named_when_the_candidate_cannot_be_started(shop: Shop) -> None:
    version = shop.serving()
    shop.new_version()
    with mounted(shop, RELEASES, "noexec"):
        refused = shop.app.deploy()
    assert (refused.code, refused.result["outcome"]) == (6, "unhealthy")
    lines = [refused.result["error"]["message"], *refused.result["error"]["evidence"]]
    assert any("cannot be started: Permission denied" in line for line in lines), lines
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
def test_locale_time_zone_hosts_file_and_missing_ipv6_of_the_machine_change_nothing(shop: Shop) -> None:
    """Every command asks the machine's own programs. The time zone is in POSIX notation, which needs no table."""
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
