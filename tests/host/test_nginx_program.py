"""Which process is the machine's nginx: never a process that only calls itself nginx."""

import os
import signal
from dataclasses import replace

import pytest

from teal_host.ground import processes
from teal_host.ground.processes import Life
from teal_host.preparations import unit
from teal_host.proxies.nginx import program as nginx_program
from teal_host.proxies.nginx.program import Claim, Worker, files_of, find, is_machines, options_of
from teal_host.proxies.nginx.tree import Tree, parse

UNIT, USER_UNIT = "/system.slice/nginx.service", "/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service"
PACKAGED = Claim(
    life=Life(100, 1, "boot"),
    uids=(0, 0, 0, 0),
    shares=True,
    shares_files=True,
    groups=frozenset({UNIT}),
    executable="/usr/sbin/nginx",
    options=(),
    roots_program=True,
    roots_files=True,
)
BY_HAND = replace(PACKAGED, groups=frozenset({"/user.slice/user-0.slice/session-1.scope"}))


@pytest.mark.parametrize(
    "claim",
    [
        PACKAGED,
        BY_HAND,
        replace(BY_HAND, executable="/usr/local/nginx/sbin/nginx"),
        replace(BY_HAND, executable="/usr/local/openresty/nginx/sbin/nginx"),
        replace(BY_HAND, executable="/usr/sbin/nginx-debug"),
        replace(PACKAGED, shares_files=False),  # PrivateTmp=
        replace(PACKAGED, is_main=True, executable="/srv/own/web", roots_program=False, roots_files=False),
    ],
)
def test_nginx_of_the_machine_is_believed(claim: Claim) -> None:
    assert is_machines(claim)


@pytest.mark.parametrize(
    "claim",
    [
        replace(BY_HAND, executable="/usr/bin/su"),
        replace(PACKAGED, executable="/usr/bin/sudo"),  # of a worker that an attacker took over
        replace(BY_HAND, executable="/usr/bin/not-nginx"),
        replace(BY_HAND, executable=""),
        replace(BY_HAND, uids=(1000, 0, 0, 0)),
        replace(PACKAGED, uids=(0, 33, 0, 33), is_main=True),
        replace(BY_HAND, uids=()),
        replace(BY_HAND, executable="/home/bob/nginx", roots_program=False),
        replace(BY_HAND, roots_files=False),
        replace(PACKAGED, roots_files=False),
        replace(BY_HAND, shares=False),
        replace(PACKAGED, shares=False, is_main=True),
        replace(BY_HAND, shares_files=False),
        replace(BY_HAND, groups=frozenset({USER_UNIT}), roots_files=False, is_main=True),
    ],
)
@pytest.mark.row("S1")
def test_process_is_not_believed_for_what_it_says_of_itself(claim: Claim) -> None:
    assert not is_machines(claim)


@pytest.mark.row("S13")
def test_unit_of_the_system_comes_before_others(monkeypatch: pytest.MonkeyPatch) -> None:
    own = replace(PACKAGED, life=Life(900, 1, "boot"))
    hidden = f"/user.slice/liar.service{UNIT}"
    other = replace(BY_HAND, life=Life(100, 1, "boot"), groups=frozenset({hidden, USER_UNIT}))
    another = replace(BY_HAND, life=Life(200, 1, "boot"), groups=frozenset({"/system.slice/web.service"}))
    claims = [other, another, own]
    for expected in (own, another, other):
        monkeypatch.setattr(nginx_program, "_claims", lambda: iter(claims))
        program = find()
        assert program is not None
        assert program.master == expected.life
        claims.remove(expected)


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ("/usr/sbin/nginx -g daemon on; master_process on;", ()),
        ("nginx -c /opt/x/nginx.conf -g daemon off;", ("-c", "/opt/x/nginx.conf")),
        ("nginx -p /srv/web/ -c conf/x.conf  ", ("-p", "/srv/web/", "-c", "conf/x.conf")),
        ("nginx -c/opt/x/nginx.conf", ("-c", "/opt/x/nginx.conf")),
    ],
)
def test_options_are_those_of_the_title(arguments: str, options: tuple[str, ...]) -> None:
    assert options_of(f"nginx: master process {arguments}") == options


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ((), []),
        (("-c", "/opt/x/nginx.conf"), ["/opt/x/nginx.conf"]),
        (("-p", "/home/bob"), ["/home/bob", "/home/bob/conf/nginx.conf"]),
        (("-p", "/srv/web/", "-c", "x.conf"), ["/srv/web/", "/srv/web/x.conf"]),
        (("-p", "/srv/web", "-c", "/home/bob/x.conf"), ["/srv/web", "/home/bob/x.conf"]),
        (("-c", "/etc/nginx/nginx.conf", "-c", "/home/bob/x.conf"), ["/home/bob/x.conf"]),
        (("-c", "x.conf"), None),
        (("-p", "."), None),
        (("-p", "./", "-c", "/etc/nginx/nginx.conf"), None),
    ],
)
def test_files_are_those_that_the_options_name(options: tuple[str, ...], files: list[str] | None) -> None:
    assert files_of(options) == files


@pytest.mark.row("S13")
def test_number_of_another_process_gets_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda *arguments: sent.append(arguments))
    mine = processes.life(os.getpid())
    assert mine is not None
    nginx_program.NginxProgram((), replace(mine, ticks=mine.ticks - 1)).reload()
    assert sent == []
    nginx_program.NginxProgram((), mine).reload()
    assert len(sent) == 1


class Stopped:
    """An nginx that does not run."""

    def __init__(self, main: str) -> None:
        self.main = main

    def worker(self) -> None:
        return

    def tree(self) -> Tree:
        return parse(f"# configuration file /etc/nginx/nginx.conf:\n{self.main}\nevents {{ }}\n")


@pytest.mark.parametrize(
    ("main", "group"), [("user nginx;", "nginx"), ("user www web;", "web"), ("", "www-data"), (None, "www-data")]
)
def test_socket_has_the_group_of_the_configuration_while_nginx_does_not_run(
    main: str | None, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 432588d it had Debian's: nginx.org's nginx, stopped while setup ran, never reached the socket."""
    monkeypatch.setattr(nginx_program, "find", lambda: None if main is None else Stopped(main))
    assert unit._nginx_group() == group


def test_worker_that_ends_has_the_rights_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    titles = {
        7: "nginx: cache manager process",
        8: "nginx: worker process is shutting down ",
        9: "nginx: worker process ",
    }
    monkeypatch.setattr(processes, "children", lambda master: list(titles))
    monkeypatch.setattr(processes, "command_line", titles.get)
    monkeypatch.setattr(
        processes, "status", lambda pid: {"Uid": f"{pid} {pid}", "Gid": f"1{pid} 1{pid}", "Groups": "4"}
    )
    assert nginx_program.worker_of(1) == Worker(9, frozenset({19, 4}), 19, 9)
