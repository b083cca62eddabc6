"""What the user `teal` can do on the server, if a thief gets a shell after all."""

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.deploy_keys import TEAL_HOST, KeyedServer, frame
from teal_host.wire.requests import Status


def rule(keyed: KeyedServer, app: str = "one") -> list[str]:
    line = (keyed.server.root / f"etc/sudoers.d/teal-{app}").read_text().splitlines()[-1]
    return line.split("NOPASSWD: ")[1].split()


def test_sudo_allows_the_user_teal_exactly_the_command_of_each_app(keyed: KeyedServer) -> None:
    permissions = keyed.as_teal("sudo", "-n", "-l").stdout
    commands = [line.split("NOPASSWD: ")[1] for line in permissions.splitlines() if "NOPASSWD" in line]
    assert sorted(commands) == sorted(" ".join(rule(keyed, app)) for app in ("one", "two"))
    assert "may run the following" in permissions
    assert "SETENV" not in permissions


SUDO: dict[str, Callable[[list[str]], list[str]]] = {
    "a shell": lambda r: ["/bin/sh", "-c", "id"],
    "one more argument": lambda r: [*r, "--root", "/tmp/pwned"],
    "without the key": lambda r: r[:-2],
    "another key": lambda r: [*r[:-1], "0" * 64],
    "no arguments": lambda r: r[:1],
    "another app's name": lambda r: [*r[:3], "two", *r[4:]],
    "the start of a program": lambda r: [r[0], "launch", "/tmp/live", "blue"],
    "a shorter word": lambda r: [r[0], "--server", "--ap", *r[3:]],
    "in one word": lambda r: [" ".join(r)],
    "as another user": lambda r: ["-u", "teal-one", "--", "/bin/sh", "-c", "id"],
    "as a group": lambda r: ["-g", "shadow", "--", *r],
    "with its environment": lambda r: ["-E", "--", *r],
    "with a variable": lambda r: ["PYTHONPATH=/tmp", *r],
    "an editor": lambda r: ["-e", "/etc/shadow"],
    "in another directory": lambda r: ["-D", "/tmp", "--", *r],
    "a shell of root": lambda r: ["-s"],
    "a login of root": lambda r: ["-i"],
    "Python": lambda r: ["/usr/bin/python3", r[0], *r[1:]],
    "systemctl": lambda r: ["/usr/bin/systemctl", "status"],
}


@pytest.mark.parametrize("name", list(SUDO))
@pytest.mark.row("S30")
def test_sudo_refuses_the_user_teal_every_other_command(keyed: KeyedServer, name: str) -> None:
    with keyed.unchanged():
        done = keyed.as_teal("sudo", "-n", *SUDO[name](rule(keyed)))
    assert done.returncode != 0
    assert "TEAL-HOST" not in done.stdout
    assert "uid=" not in done.stdout


@pytest.mark.row("S17")
def test_server_side_runs_no_code_that_a_variable_names(keyed: KeyedServer) -> None:
    """sudo drops the variables, and Python would ignore them."""
    evil = keyed.server.root / "srv/evil"
    evil.mkdir()
    (evil / "sitecustomize.py").write_text("open('/root/pwned', 'w')\n")
    (evil / "json.py").write_text("open('/root/pwned', 'w')\n")
    names = [f"{name}=/srv/evil" for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "HOME", "PATH_")]
    names += [
        "PYTHONSTARTUP=/srv/evil/json.py",
        "PYTHONINSPECT=1",
        "LD_PRELOAD=/srv/evil/x.so",
        "PYTHONBREAKPOINT=json",
    ]
    with keyed.unchanged():
        done = keyed.as_teal("env", "-C", "/srv/evil", *names, "sudo", "-n", *rule(keyed))
    assert "TEAL-HOST-1" in done.stdout  # the server side ran, and no client answered
    alone = keyed.as_teal(*rule(keyed), stdin=frame(Status("one")).decode())
    assert "on a server this needs root" in alone.stdout
    for path in evil.iterdir():
        path.unlink()
    evil.rmdir()


NOT_WRITTEN = (
    *("/var/lib/teal/.ssh/authorized_keys", "/var/lib/teal/.ssh/rc", "/var/lib/teal/.ssh/environment"),
    *("/etc/sudoers.d/teal-one", "/etc/sudoers.d/x", "/etc/sudoers", TEAL_HOST, f"{TEAL_HOST}.new"),
    *("/var/lib/teal/x", "/var/lib/teal/one/audit", "/var/lib/teal/one/journal", "/var/lib/teal/one/blue/start.json"),
    *("/var/lib/teal/one/live/x", "/etc/teal/one/app.json", "/etc/teal/one/footprint.json", "/var/lib/one/x"),
    *("/etc/systemd/system/teal-one@.service", "/etc/nginx/conf.d/teal-one.conf", "/etc/cron.d/x", "/root/x"),
)


NOT_READ = (
    *("/var/lib/teal/one/audit", "/var/lib/teal/one/journal", "/var/lib/teal/one/lock", "/var/lib/teal/.lock"),
    *("/etc/teal/one/app.json", "/etc/teal/one/footprint.json", "/var/lib/one", "/var/lib/teal/one/releases"),
    *("/etc/sudoers.d/teal-one", "/etc/shadow", "/etc/ssh/ssh_host_ed25519_key", "/root"),
)


@pytest.mark.row("S23")
def test_user_teal_writes_and_reads_no_file_of_others(keyed: KeyedServer) -> None:
    program = "import os, sys\nfor path in sys.argv[2:]:\n"
    program += " try: os.open(path, eval(sys.argv[1])); print(path)\n except OSError: pass"
    with keyed.unchanged():
        wrote = keyed.as_teal("python3", "-c", program, "os.O_RDWR | os.O_CREAT | os.O_APPEND", *NOT_WRITTEN)
        read = keyed.as_teal("python3", "-c", program, "os.O_RDONLY", *NOT_READ)
        moved = keyed.as_teal("mv", "/usr/local/lib/teal", "/usr/local/lib/teal2")
    assert (wrote.stdout, read.stdout, moved.returncode) == ("", "", 1)
    starts = list(keyed.server.root.glob("var/lib/teal/*/*/start.json"))
    assert [oct(path.stat().st_mode)[-3:] for path in starts] == ["600"] * len(starts) != []


@pytest.mark.row("S14")
def test_paths_of_programs_that_run_as_root_belong_to_root(keyed: KeyedServer) -> None:
    for path in (TEAL_HOST, "/var/lib/teal/.ssh/authorized_keys", "/etc/sudoers.d/teal-one", "/var/lib/teal/one/blue"):
        for part in (Path(path), *Path(path).parents):
            stat = (keyed.server.root / str(part).lstrip("/")).stat()
            assert (stat.st_uid, stat.st_mode & 0o022) == (0, 0), part
