"""A local user gives processes of uid 0 the title of nginx's master. Teal, as root, must not run what a title names.

Each attack succeeded against commit 55bfd35: Teal ran the file that the title names, or took its configuration.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import harness
from harness import Server
from harness.ssh_access import one_login, run
from harness.world import App, at_server, wait_until

HOME = "/home/bob"
PROOF = f"{HOME}/proof"  # exists if Teal made root run or read something of bob's
USER = f"""
id bob || useradd --create-home --shell /bin/bash bob
chmod 755 {HOME}
printf '#!/bin/sh\\nid -u > {PROOF}\\n' > {HOME}/evil
printf 'error_log {PROOF};\\nevents {{}}\\n' > {HOME}/evil.conf
chmod 755 {HOME}/evil
chown -R bob: {HOME}
"""
TITLES = {
    "program": f"nginx: master process {HOME}/evil -c x",
    "configuration": f"nginx: master process /usr/sbin/nginx -c {HOME}/evil.conf",
    "prefix": f"nginx: master process /usr/sbin/nginx -p {HOME} -c evil.conf",
}
# `su` is setuid and waits for a password, so the process has uid 0, and its /proc entry belongs to root.
LIAR = "sleep 1000 | (exec -a '{title}' su)"
# bob's own systemd runs a unit nginx.service in a slice system.slice: both are cgroups below bob's own.
IN_UNIT = """
group=/sys/fs/cgroup$(sed -n s/^0:://p /proc/self/cgroup)/system.slice/nginx.service
mkdir -p $group
echo $$ > $group/cgroup.procs
"""


@pytest.fixture(scope="module")
def shared(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with harness.server(debian, tmp_path_factory.mktemp("titles"), packages=["nginx", "sudo"]) as booted:
        run(booted, "sh", "-ec", USER)
        yield booted


@pytest.fixture(scope="module")
def app(shared: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with one_login(shared) as login:
        made = at_server(tmp_path_factory.mktemp("home"), shared, login).app("shop")
        made.teal("setup").ok()
        made.deploy().ok()
        made.program(version="v2")
        yield made


@contextmanager
def liar(server: Server, title: str, before: str = "") -> Iterator[None]:
    """A process of bob's with this title and uid 0, outside every unit of the system."""
    (server.root / HOME[1:] / "liar").write_text(before + LIAR.format(title=title))
    start = ("systemd-run", "--unit=liar", "--uid=bob", "--slice=user.slice", "--property=Delegate=yes")
    run(server, *start, "bash", "-e", f"{HOME}/liar")
    try:
        wait_until(lambda: titled(server, title))
        yield
    finally:
        run(server, "systemctl", "stop", "liar")


def titled(server: Server, title: str) -> bool:
    return server.run("pgrep", "-u", "root", "-f", f"^{title}").returncode == 0


def commands(app: App, server: Server) -> None:
    """Runs every command that looks for nginx and changes nothing. Its words about nginx do not matter here."""
    (server.root / PROOF[1:]).unlink(missing_ok=True)
    for command in (["setup", "--dry-run"], ["doctor"], ["deploy", "--dry-run"]):
        app.teal(*command)
        assert not (server.root / PROOF[1:]).exists(), command


@pytest.mark.parametrize("name", TITLES)
@pytest.mark.row("S1")
def test_title_of_a_setuid_program_is_not_believed_while_nginx_is_down(shared: Server, app: App, name: str) -> None:
    """Succeeded against 55bfd35."""
    run(shared, "systemctl", "stop", "nginx")
    try:
        with liar(shared, TITLES[name]):
            commands(app, shared)
            assert "nginx does not run" in app.deploy().result["error"]["message"]
    finally:
        run(shared, "systemctl", "start", "nginx")


@pytest.mark.row("S1", "S13")
def test_user_unit_called_nginx_does_not_outrank_the_machines_own(shared: Server, app: App) -> None:
    """Succeeded against 55bfd35."""
    with liar(shared, TITLES["program"], IN_UNIT):
        run(shared, "systemctl", "restart", "nginx")  # so that the true master has the higher PID
        commands(app, shared)
        app.teal("doctor").ok()


def test_nginx_that_was_upgraded_under_its_master_is_still_the_machines(shared: Server, app: App) -> None:
    run(shared, "sh", "-ec", "cp -a /usr/sbin/nginx /usr/sbin/new; mv /usr/sbin/new /usr/sbin/nginx")
    try:
        assert run(shared, "sh", "-c", "readlink /proc/$(cat /run/nginx.pid)/exe") == "/usr/sbin/nginx (deleted)\n"
        app.teal("doctor").ok()
        assert app.teal("setup", "--json", "--dry-run").ok().result["changes"] == []
    finally:
        run(shared, "systemctl", "restart", "nginx")


SOCKET = """\
import socket, time
end = socket.socket(socket.AF_UNIX)
end.bind(b"\\0strange\\na b c d e f g h")
end.listen()
time.sleep(1000)
"""


@pytest.mark.row("S36")
def test_socket_with_a_line_feed_in_its_name_ends_no_deploy(shared: Server, app: App) -> None:
    """Succeeded against 768eec4: while any local user had such a socket, no color could be drained or stopped."""
    (shared.root / HOME[1:] / "strange.py").write_text(SOCKET)
    run(shared, "systemd-run", "--unit=strange", "--uid=bob", "python3", f"{HOME}/strange.py")
    try:
        wait_until(lambda: "a b c d e f g h" in run(shared, "cat", "/proc/net/unix"))
        for version in ("v2", "v3"):  # the second one drains and stops the standby
            app.program(version=version)
            app.deploy().ok()
    finally:
        run(shared, "systemctl", "stop", "strange")


BUILD = """
mkdir -p /usr/local/nginx/sbin /usr/local/nginx/conf
cp /usr/sbin/nginx /usr/local/nginx/sbin/nginx
echo 'pid /run/built.pid; events {} http { access_log off; include sites/*; }' > /usr/local/nginx/conf/nginx.conf
systemctl stop nginx
"""


def test_nginx_that_root_has_built_and_started_is_the_machines(shared: Server, app: App) -> None:
    start = ("/usr/local/nginx/sbin/nginx", "-p", "/usr/local/nginx/", "-c", "conf/nginx.conf", "-g", "daemon off;")
    run(shared, "sh", "-ec", BUILD)
    run(shared, "systemd-run", "--unit=built", "--slice=user.slice", *start)
    other = app.world.app("blog")
    other.config(server={"domains": ["blog.example"], "http_port": 8077})
    try:
        wait_until(lambda: titled(shared, "nginx: master process /usr/local"))
        changes = other.teal("setup", "--json", "--dry-run").ok().result["changes"]
        assert "/usr/local/nginx/conf/sites/teal-blog.conf; reload nginx" in " ".join(
            change["says"] for change in changes
        )
        run(shared, "chown", "bob", "/usr/local/nginx/conf")
        changes = other.teal("setup", "--json", "--dry-run").ok().result["changes"]
        assert "start nginx" in " ".join(change["says"] for change in changes)
    finally:
        run(shared, "systemctl", "stop", "built")
        run(shared, "systemctl", "start", "nginx")
