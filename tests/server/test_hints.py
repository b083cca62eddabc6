"""Walks of hints that need a server: half of the walks on each Debian, because the hints are the same on both.

A walk makes the situation, reads the hint that Teal prints, and does exactly what the hint says. After each walk the
doctor finds nothing wrong, and the release serves.
"""

import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from harness.ssh_access import run
from harness.world import App, wait_until
from hints.collect import pattern
from hints.test_walks import printed, shell
from hints.walk import hint_of, type_in
from server.shop import Shop
from teal.config.read import load
from teal.ground.errors import TealError
from teal.stories import setup
from teal.stories.setup import SetupOptions
from teal.ui.plain import Quiet

STATE = "var/lib/teal/shop"


def findings(app: App) -> list[dict[str, Any]]:
    """What the doctor finds wrong."""
    rows = app.teal("doctor", "--json").result["findings"]
    return [row for row in rows if row["state"] != "ok"]


def hint(shop: Shop, text: str) -> str:
    """The hint of a finding of the doctor."""
    rows = findings(shop.app)
    assert any(pattern(text).fullmatch(row["hint"]) for row in rows), rows
    return next(str(row["hint"]) for row in rows if pattern(text).fullmatch(row["hint"]))


def output_of(app: App, command: str) -> str:
    shell(app, f"{{ {command}; }} >output")
    return (app.directory / "output").read_text()


def sh(shop: Shop, text: str) -> str:
    return run(shop.server, "sh", "-ec", text)


REMOVE_DROP_IN = (
    "write it into [sandbox] or [run] ports2 of teal.toml if you can, remove that file, then "
    "teal ssh -- {}systemctl daemon-reload"
)


@pytest.mark.hint(
    "write it into [sandbox] or [run] ports2 of teal.toml if you can, remove that file, then "
    "teal ssh -- {}systemctl daemon-reload",
    "teal ssh -- {}systemctl daemon-reload",
    "teal setup (it shows what changes), then teal deploy",
)
def drop_in(shop: Shop) -> None:
    folder = shop.server.root / "etc/systemd/system/teal-shop@.service.d"
    folder.mkdir()
    (folder / "own.conf").write_text("[Service]\nMemoryMax=300M\n")
    run(shop.server, "systemctl", "daemon-reload")
    assert hint(shop, REMOVE_DROP_IN)
    (row,) = findings(shop.app)
    path = row["says"].split()[0]
    sh(shop, f"rm {path}; rmdir $(dirname {path})")
    type_in(shop.app, hint(shop, "teal ssh -- {}systemctl daemon-reload"))
    assert findings(shop.app) == []
    shop.config(sandbox={"memory_mb": 300})
    text = "teal setup (it shows what changes), then teal deploy"
    both = printed(shop.app.deploy(), text)
    for command in both.replace(" (it shows what changes)", "").split(", then "):
        type_in(shop.app, command)
    assert shop.shown(shop.live, "MemoryMax") == str(300 << 20)


@pytest.mark.hint("teal ssh -- {}systemctl unmask {}", "teal ssh -- {}systemctl status {}")
def units_that_do_not_start(shop: Shop) -> None:
    run(shop.server, "systemctl", "mask", f"teal-shop@{shop.live}")
    type_in(shop.app, hint(shop, "teal ssh -- {}systemctl unmask {}"))
    assert findings(shop.app) == []
    folder = shop.server.root / "etc/systemd/system/teal-shop@.service.d"
    folder.mkdir()
    (folder / "own.conf").write_text("[Service]\nExecStart=\n")
    run(shop.server, "systemctl", "daemon-reload")
    shown = shop.app.teal(*shlex.split(hint(shop, "teal ssh -- {}systemctl status {}"))[1:]).out
    assert "ExecStart=" in shown
    (path,) = set(re.findall(r"\S+/own\.conf", " ".join(row["says"] for row in findings(shop.app))))
    sh(shop, f"rm {path}; rmdir $(dirname {path})")
    type_in(shop.app, hint(shop, REMOVE_DROP_IN).rpartition(", then ")[2])


@pytest.mark.hint("raise [sandbox] memory_mb in teal.toml, then teal setup")
def memory_limit(shop: Shop) -> None:
    shop.app.get("/take")
    message = next(
        row["says"] for row in shop.app.teal("doctor", "--json").result["findings"] if row["what"] == "memory"
    )
    (held,) = re.findall(r"the live color holds (\d+) MB", message)
    shop.config(sandbox={"memory_mb": int(held)})
    shop.app.teal("setup").ok()
    command = hint(shop, "raise [sandbox] memory_mb in teal.toml, then teal setup").partition(", then ")[2]
    shop.config(sandbox={"memory_mb": 300})
    type_in(shop.app, command)
    assert findings(shop.app) == []


@contextmanager
def little_memory(shop: Shop) -> Iterator[None]:
    """The server reports that hardly any memory is left."""
    short = "sed 's/^MemAvailable:.*/MemAvailable: 4000 kB/' /proc/meminfo >/srv/meminfo"
    sh(shop, f"{short}; mount --bind /srv/meminfo /proc/meminfo")
    try:
        yield
    finally:
        sh(shop, "umount /proc/meminfo; rm /srv/meminfo")


@pytest.mark.hint(
    "a bigger server, or a program that needs less memory",
    "; should they run out, it is the new one that is ended (see: teal doctor)",
)
def memory_of_the_server(shop: Shop) -> None:
    shop.new_version()
    with little_memory(shop):
        sh(shop, f"systemctl stop teal-shop@{shop.standby}")
        deployed = shop.app.deploy().ok()
        (warning,) = (line["text"] for line in deployed.lines if line.get("level") == "warning")
        (command,) = re.findall(r"; should they run out, it is the new one that is ended \(see: (.*)\)$", warning)
        sh(shop, f"systemctl stop teal-shop@{shop.standby}")
        rows = shop.app.teal(*shlex.split(command)[1:], "--json").result["findings"]
        row = next(row for row in rows if row["what"] == "memory")
        assert hint_of(row, "a bigger server, or a program that needs less memory")
    shop.new_version()
    assert not any(line.get("level") == "warning" for line in shop.app.deploy().ok().lines)


@pytest.mark.hint("name some in [run] ports")
def no_free_ports(shop: Shop) -> None:
    app = shop.app.world.app("blog")
    app.config(server={"domains": ["blog.example"]})
    shop.app.world.apps.remove(app)
    sh(shop, f"systemd-run --unit=ports python3 -c {shlex.quote(HOLD_PORTS)}")
    wait_until((shop.server.root / "srv/held").exists)
    try:
        printed(app.teal("setup", "--json"), "name some in [run] ports")
        app.config(server={"domains": ["blog.example"]}, run={"ports": {"blue": 7001, "green": 7002}})
        app.teal("setup").ok()
        app.deploy().ok()
        app.teal("destroy", "-y").ok()
    finally:
        sh(shop, "systemctl stop ports; rm /srv/held")


HOLD_PORTS = """
import resource, socket, time
resource.setrlimit(resource.RLIMIT_NOFILE, (4000, 4000))
held = []
for port in range(8081, 10000):
    try:
        held.append(socket.create_server(("127.0.0.1", port)))
    except OSError:
        pass
open("/srv/held", "w")
time.sleep(600)
"""


@pytest.mark.hint(
    "restore it; or remove it, write the ports of its nginx file into [run] ports, then teal setup", "restore it"
)
def damaged_agreement(shop: Shop) -> None:
    version = shop.app.get()["version"]
    agreed, footprint = (shop.server.root / f"etc/teal/shop/{name}.json" for name in ("app", "footprint"))
    before = footprint.read_text()
    footprint.write_text("{")
    assert [hint_of(row, "restore it") for row in findings(shop.app)] == ["restore it"]
    footprint.write_text(before)
    assert findings(shop.app) == []
    agreed.write_text("{")
    shop.new_version()
    text = "restore it; or remove it, write the ports of its nginx file into [run] ports, then teal setup"
    command = printed(shop.app.deploy(), text).rpartition(", then ")[2]
    agreed.unlink()
    site = (shop.server.root / "etc/nginx/conf.d/teal-shop.conf").read_text()
    ports = {color: int(re.findall(rf"{color}\b.*?127\.0\.0\.1:(\d+)", site, re.DOTALL)[0]) for color in COLORS}
    shop.config(run={"ports": ports})
    shop.app.teal(*shlex.split(command)[1:], "--yes").ok()
    assert shop.app.get()["version"] == version
    shop.app.deploy().ok()
    shop.config()


COLORS = ("blue", "green")


@pytest.mark.hint(
    "teal ssh -- {}ln -sfn {} {} (or {}: whichever runs)",
    "teal ssh -- {}mv {} {}.aside; then deploy again",
    "teal ssh -- {}ln -sfn ../releases/{} {} (the release that runs there); then the same command again",
)
def links_by_hand(shop: Shop) -> None:
    live = shop.server.root / STATE / "live"
    while shop.live != "blue":
        shop.new_version()
        shop.app.deploy().ok()
    before = shop.app.get()["version"]
    (shop.server.root / STATE / "blue/release").unlink()
    shop.new_version()
    text = "teal ssh -- {}ln -sfn ../releases/{} {} (the release that runs there); then the same command again"
    shell(shop.app, printed(shop.app.deploy(), text).partition(" (")[0])
    assert shop.app.get()["version"] == before
    live.unlink()
    live.symlink_to("nowhere")
    text = "teal ssh -- {}ln -sfn {} {} (or {}: whichever runs)"
    shell(shop.app, printed(shop.app.deploy(), text).partition(" (")[0])
    assert shop.app.get()["version"] == before
    live.unlink()
    live.mkdir()
    shell(shop.app, printed(shop.app.deploy(), "teal ssh -- {}mv {} {}.aside; then deploy again").partition(";")[0])
    shop.app.deploy().ok()
    (shop.server.root / STATE / "live.aside").rmdir()


@pytest.mark.hint("every directory of [sandbox] writable must be there on the server; teal doctor tells more")
def lost_writable_directory(shop: Shop) -> None:
    run(shop.server, "mkdir", "/srv/uploads")
    shop.config(sandbox={"writable": ["/srv/uploads"]})
    shop.app.teal("setup").ok()
    run(shop.server, "rmdir", "/srv/uploads")
    shop.new_version()
    text = "every directory of [sandbox] writable must be there on the server; teal doctor tells more"
    assert printed(shop.app.deploy(), text)
    text = "teal ssh -- {}mkdir -p {}; then teal setup; then teal ssh -- {}chown {}: {}"
    for command in hint(shop, text).split("; then "):
        type_in(shop.app, command)
    shop.app.deploy().ok()
    shop.config()
    shop.app.teal("setup").ok()
    run(shop.server, "rmdir", "/srv/uploads")


@pytest.mark.hint("make room; the largest are shown by: teal ssh -- {}du {}-xh -d2 {} | sort -h | tail")
def full_disk(shop: Shop) -> None:
    """Teal's files have a small disk of their own, which somebody else's directory fills."""
    home = "/var/lib/teal"
    sh(shop, f"cp -a {home} /srv/kept; mount -t tmpfs -o size=110m,mode=755 tmpfs {home}; cp -a /srv/kept/. {home}")
    try:
        sh(shop, f"mkdir {home}/shop/films; head -c 60M /dev/zero >{home}/shop/films/large")
        text = "make room; the largest are shown by: teal ssh -- {}du {}-xh -d2 {} | sort -h | tail"
        shop.new_version()
        command = printed(shop.app.deploy(), text).partition(": ")[2]
        assert hint(shop, text).endswith(command)
        listed = output_of(shop.app, command).splitlines()
        *_, largest = (path for path in (line.split("\t")[1] for line in listed) if path.count("/") > 4)
        sh(shop, f"rm -r {largest}")
        shop.app.deploy().ok()
    finally:
        sh(shop, f"cp -a {home}/. /srv/kept; umount -l {home}; rm -r {home}; mv /srv/kept {home}")


@pytest.mark.hint("teal ssh -- {}systemctl status nginx")
def nginx_that_does_not_start(shop: Shop) -> None:
    site = shop.server.root / "etc/nginx/conf.d/other.conf"
    site.write_text("server { listen 8090; }\n")
    sh(shop, "systemctl stop nginx; systemd-run --unit=other python3 -m http.server 8090")
    try:
        sh(shop, "until ss -ltn | grep -q :8090; do sleep 0.1; done")
        command = printed(shop.app.teal("setup", "--json"), "teal ssh -- {}systemctl status nginx")
        assert "8090" in shop.app.teal(*shlex.split(command)[1:]).out
    finally:
        sh(shop, "systemctl stop other")
    shop.app.teal("setup").ok()
    assert findings(shop.app) == []
    site.unlink()
    sh(shop, "systemctl reload nginx")


@pytest.mark.hint("see: teal ssh -- {}tail {}")
def nginx_that_does_not_reload(shop: Shop) -> None:
    """A new site of somebody else, whose port another program has, prevents every reload."""
    site = shop.server.root / "etc/nginx/conf.d/other.conf"
    sh(shop, "systemd-run --unit=other python3 -m http.server 8090")
    try:
        sh(shop, "until ss -ltn | grep -q :8090; do sleep 0.1; done")
        site.write_text("server { listen 8090; }\n")
        shop.config(proxy={"read_timeout_s": 77})
        command = printed(shop.app.teal("setup", "--json"), "see: teal ssh -- {}tail {}").removeprefix("see: ")
        assert "bind() to 0.0.0.0:8090 failed" in type_in(shop.app, command).out
    finally:
        site.unlink()
        sh(shop, "systemctl stop other")
    shop.app.teal("setup").ok()


@pytest.mark.hint("teal ssh -- {}systemctl status")
def systemd_that_does_not_answer(shop: Shop) -> None:
    leader = str(shop.server.leader())
    subprocess.run(["kill", "-STOP", leader], check=True)
    try:
        command = printed(shop.app.teal("status", "--json"), "teal ssh -- {}systemctl status")
    finally:
        subprocess.run(["kill", "-CONT", leader], check=True)
    type_in(shop.app, command)
    shop.app.teal("status").ok()


@pytest.mark.hint("teal ssh -- {}rm {}, then the same command again")
def lock_of_the_accounts(shop: Shop) -> None:
    """usermod takes the lock for used: process 1 always lives."""
    run(shop.server, "usermod", "--expiredate", "", "teal-shop")
    (shop.server.root / "etc/passwd.lock").write_text("1\0")
    remove = printed(shop.app.teal("setup"), "teal ssh -- {}rm {}, then the same command again").partition(", then ")[0]
    type_in(shop.app, remove)
    shop.app.teal("setup").ok()


@pytest.mark.hint("teal setup again")
def server_that_changed_since_the_plan(shop: Shop) -> None:
    """Somebody removes a file while a person reads the plan."""
    shop.config(sandbox={"tasks": 99})
    unit = shop.server.root / "etc/systemd/system/teal-shop-recover.service"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", shop.app.world.env["PATH"])
        with pytest.raises(TealError) as refused:
            setup.setup(load(shop.app.directory), SetupOptions(), Quiet(), lambda plan: unit.unlink())
    assert pattern("teal setup again").fullmatch(refused.value.hint)
    type_in(shop.app, refused.value.hint.removesuffix(" again"))
    assert unit.is_file()


WALKS: list[Callable[[Shop], None]] = [
    drop_in,
    units_that_do_not_start,
    memory_limit,
    memory_of_the_server,
    no_free_ports,
    damaged_agreement,
    links_by_hand,
    full_disk,
    lost_writable_directory,
    nginx_that_does_not_start,
    nginx_that_does_not_reload,
    systemd_that_does_not_answer,
    server_that_changed_since_the_plan,
    lock_of_the_accounts,
]


@pytest.mark.parametrize("number", range((len(WALKS) + 1) // 2))
def test_hint_leads_back_to_a_server_where_nothing_is_wrong(shop: Shop, debian: int, number: int) -> None:
    walk = WALKS[(2 * number + debian) % len(WALKS)]
    print(f"\n{walk.__name__}")
    shop.serving()
    if not (shop.server.root / STATE / "green/release").is_symlink():
        shop.deployed()
    assert findings(shop.app) == []
    try:
        walk(shop)
    finally:
        shop.config()
        shop.app.teal("setup", "--yes").ok()
    shop.deployed()
    assert findings(shop.app) == []
