"""The main job on a bare Debian: from openssh-server and python3 to live, refused, back, rebooted and gone."""

from pathlib import Path

import pytest

from harness import Server
from harness.world import App, World, at_server, wait_until

# Packages and account tools change these by themselves, and the packages stay.
OF_PACKAGES = ("/var/lib/apt", "/var/lib/dpkg")
OF_ACCOUNTS = ("/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-")
OTHERS = (*OF_PACKAGES, *OF_ACCOUNTS, "/etc/.pwd.lock")


@pytest.fixture
def world(server: Server, tmp_path: Path) -> World:
    return at_server(tmp_path / "home", server)


@pytest.fixture
def app(world: World) -> App:
    app = world.app("shop")
    app.config(run={"data": True}, keep={"watch_s": 1, "drain_s": 0})
    return app


@pytest.mark.hint("teal setup")
def test_bare_server_goes_live_with_setup_and_deploy_and_is_bare_again_after_destroy(server: Server, app: App) -> None:
    server.ssh("apt-get", "install", "-y", "--no-install-recommends", "nginx", "nftables", deadline_s=300)
    before = server.files(ignoring=OTHERS)
    server.ssh("apt-get", "purge", "-y", "--auto-remove", "nginx", "nginx-common", "nftables", deadline_s=300)

    for command in ("status", "releases", "logs", "rollback", "deploy"):
        forgotten = app.teal(command)
        assert (forgotten.code, "not set up for shop" in forgotten.err) == (3, True)
        hint = forgotten.err.rpartition("→ ")[2].split()
        assert hint == ["teal", "setup"]
    would = app.teal("setup", "--dry-run", "--json").ok().result
    assert any("nginx" in change["says"] for change in would["changes"])
    done = app.teal(*hint[1:], "--json", deadline_s=300).ok().result
    assert done["changes"] == would["changes"]

    first = app.deploy().ok().result
    assert (first["outcome"], first["color"], app.get()["version"]) == ("live", "blue", "v1")
    app.program(version="v2")
    second = app.deploy().ok().result
    assert (second["color"], second["previous"], app.get()["version"]) == ("green", first["release"], "v2")
    app.program(version="v3", exits=3)
    refused = app.deploy()
    assert (refused.code, refused.result["outcome"], app.get()["version"]) == (6, "unhealthy", "v2")
    assert "exited with code 3" in refused.result["error"]["message"]
    assert app.deploy().code == 6
    app.program(version="v2")
    assert app.deploy().ok().result["outcome"] == "unchanged"
    assert app.teal("rollback", "--json").ok().result["release"] == first["release"]
    assert app.get()["version"] == "v1"

    server.reboot()
    wait_until(lambda: serves(app, "v1"))
    assert app.status()["live"] == "blue"
    began = ("systemctl", "show", "--value", "--property=ActiveEnterTimestampMonotonic", "nginx", "teal-shop-ports")
    nginx, rules = map(int, server.run(*began).stdout.split())
    assert 0 < rules < nginx  # a stranger that was faster than the app answers nobody

    app.teal("destroy", "-y").ok()
    after = server.files(ignoring=OTHERS)
    changed = [path for path in before | after if before.get(path) != after.get(path)]
    assert changed == []


def serves(app: App, version: str) -> bool:
    try:
        return bool(app.get()["version"] == version)
    except (OSError, ValueError):
        return False
