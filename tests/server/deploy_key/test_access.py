"""A deploy key deploys its app; every other request to ssh is refused."""

import json
import os
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.deploy_keys import SHELL, TEAL_HOST, KeyedServer, at_once
from harness.world import wait_until


def test_deploy_key_deploys_rolls_back_and_queries_from_ci_and_all_is_audited(keyed: KeyedServer) -> None:
    ci, app = keyed.ci(), keyed.app_one
    was = app.status()["live"]

    def teal(*arguments: str) -> dict[str, Any]:
        return ci.teal(*arguments, cwd=app.directory, TEAL_TARGET=ci.target, CI="true").ok().result

    first = teal("status", "--json")["colors"][was]["release"]
    app.program(version="from CI")
    deployed = teal("deploy", "--json")
    assert (deployed["outcome"], deployed["previous"]) == ("live", first)
    assert app.get("/", "one.test")["version"] == "from CI"
    assert teal("deploy", "--json")["outcome"] == "unchanged"
    assert teal("releases", "--json")["releases"][0]["release"] == deployed["release"]
    assert "from CI" in json.dumps(teal("logs", "--json"))
    assert teal("rollback", "--json")["release"] == first
    audited = [(line["did"], line["ended"]) for line in keyed.audit()]
    assert audited == [
        ("status", "answered"),
        ("deploy", "not yet"),
        ("deploy", "live"),
        ("deploy", "not yet"),
        ("deploy", "unchanged"),
        ("releases", "answered"),
        ("logs", "answered"),
        ("rollback", "not yet"),
        ("rollback", "live"),
    ]
    assert {line["key"] for line in keyed.audit()} == {keyed.fingerprint()}
    assert keyed.audit()[2]["release"] == deployed["release"]
    assert oct((keyed.server.root / "var/lib/teal/one/audit").stat().st_mode)[-3:] == "600"


COMMANDS: dict[str, list[str]] = {
    "a shell": [],
    "a shell on a terminal": ["-tt"],
    "a command": ["--", "id"],
    "a command on a terminal": ["-tt", "--", "id"],
    "a shell by name": ["--", "/bin/bash", "-i"],
    "Python": ["--", "python3", "-c", "'import os; os.system(\"id\")'"],
    "sftp": ["-s", "--", "sftp"],
    "another subsystem": ["-s", "--", "netconf"],
    "the sftp server as a command": ["--", "/usr/lib/openssh/sftp-server"],
    "scp to here": ["--", "scp", "-t", "/tmp/pwned"],
    "scp from here": ["--", "scp", "-f", "/etc/shadow"],
    "rsync": ["--", "rsync", "--server", "--sender", "-e.LsfxCIvu", ".", "/etc/shadow"],
    "git": ["--", "git-upload-pack", "/tmp/x"],
    "its own program, of another app": ["--", f"sudo -n {TEAL_HOST} --server --app two --key 00"],
    "its own program, somewhere else": ["--", f"{TEAL_HOST} --root /tmp/pwned"],
    "more arguments": ["--", "--root", "/tmp/pwned", "--nginx", "/tmp/x"],
    "the start of a program": ["--", "launch", "/tmp/live", "blue"],
    "sudo": ["--", "sudo", "-n", "-i"],
    "a semicolon": ["--", "; id; touch /tmp/pwned"],
    "a substitution": ["--", "$(touch /tmp/pwned) `touch /tmp/pwned`"],
    "a pipe": ["--", "| touch /tmp/pwned & touch /tmp/pwned && id"],
    "a line break": ["--", "x\nid\ntouch /tmp/pwned\n"],
    "quotes": ["--", "'\"; touch /tmp/pwned; '\""],
    "a redirection": ["--", "> /tmp/pwned < /etc/shadow"],
    "LD_PRELOAD": ["-o", "SetEnv=LD_PRELOAD=/tmp/x.so", "--", "id"],
    "PYTHONPATH": ["-o", "SetEnv=PYTHONPATH=/tmp PYTHONSTARTUP=/tmp/x.py PYTHONINSPECT=1", "--", "id"],
    "BASH_ENV": ["-o", "SetEnv=BASH_ENV=/tmp/x ENV=/tmp/x", "--", "id"],
    "SSH_ORIGINAL_COMMAND": ["-o", "SetEnv=SSH_ORIGINAL_COMMAND=id", "--", "true"],
    "a function for bash": ["-o", "SetEnv=LC_ALL='() { :;}; touch /tmp/pwned' LANG='$(touch /tmp/pwned)'"],
    "the agent": ["-A", "--", "ssh-add", "-l"],
    "X11": ["-X", "-o", "ForwardX11=yes", "--", "xterm"],
    "trusted X11": ["-Y", "--", "xterm"],
    "two at once, and compressed": ["-C", "-o", "PermitLocalCommand=no", "--", "id & id"],
}


SSH_ITSELF_ENDS = {
    "a shell on a terminal": b"PTY allocation request failed",
    "a command on a terminal": b"PTY allocation request failed",
    "another subsystem": b"subsystem request failed",
}


Asked = dict[str, "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="module")
def asked(keyed: KeyedServer) -> Asked:
    """Tries every request, and checks that each has a line in the audit."""
    before = len(keyed.audit())
    tries = {name: partial(keyed.ssh, *COMMANDS[name], stdin=SHELL, DISPLAY="127.0.0.1:0") for name in COMMANDS}
    with keyed.unchanged():
        done = at_once(tries)
    wait_until(lambda: len(keyed.audit()) - before >= len(COMMANDS) - len(SSH_ITSELF_ENDS))
    audited = {(line["key"], line["did"]) for line in keyed.audit()[before:]}
    assert audited == {(keyed.fingerprint(), "nothing that could be understood")}
    return done


@pytest.mark.parametrize("name", list(COMMANDS))
@pytest.mark.row("S30")
def test_deploy_key_is_refused_every_other_ssh_request_in_plain_words(asked: Asked, name: str) -> None:
    done = asked[name]
    assert b"uid=" not in done.stdout + done.stderr
    assert b"root:" not in done.stdout + done.stderr
    if name in SSH_ITSELF_ENDS:
        assert (done.returncode, done.stdout) == (255, b"")
        assert SSH_ITSELF_ENDS[name] in done.stderr
        return
    assert (done.returncode, done.stdout) == (1, b"")
    in_words = (
        [] if name == "sftp" else ["this key only deploys one, with teal"]
    )  # sshd passes on no errors of a subsystem
    assert done.stderr.decode().splitlines()[-1:] == in_words


@pytest.mark.row("S17")
def test_deploy_key_brings_no_variable_agent_or_terminal_into_an_environment(keyed: KeyedServer) -> None:
    """No process on the server gets a terminal, the agent, X11 or a variable of the client."""
    tricks = [f"{name}=thief" for name in ("LD_PRELOAD", "PYTHONPATH", "BASH_ENV", "ENV", "PATH", "SUDO_ASKPASS")]
    options = ["-A", "-X", "-o", f"SetEnv={' '.join(tricks)}"]
    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    agent_variables = dict(part.split("=", 1) for part in agent.replace("\n", ";").split(";") if "=" in part)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSH_AUTH_SOCK", agent_variables["SSH_AUTH_SOCK"])
        patch.setenv("DISPLAY", "127.0.0.1:0")
        try:
            with keyed.open(*options) as ssh:
                seen = keyed.server.run("sh", "-c", "cat /proc/[0-9]*/environ | tr '\\0' '\\n'").stdout
                sockets = keyed.server.run("sh", "-c", "ls /tmp/ssh-* /root/.ssh/agent /var/lib/teal/.ssh/agent").stdout
                assert ssh.poll() is None
        finally:
            os.kill(int(agent_variables["SSH_AGENT_PID"]), 15)
    names = {line.split("=")[0] for line in seen.splitlines()}
    assert "SSH_CONNECTION" in names  # the environment was really read
    assert names & {"SSH_AUTH_SOCK", "SSH_TTY", "DISPLAY", "LD_PRELOAD", "PYTHONPATH", "BASH_ENV", "ENV"} == set()
    assert "thief" not in seen
    assert "agent" not in sockets


@pytest.mark.parametrize("how", [["scp", "-O"], ["scp", "-s"], ["sftp"]], ids=" ".join)
@pytest.mark.row("S30")
def test_deploy_key_copies_no_file_in_either_direction(keyed: KeyedServer, tmp_path: Path, how: list[str]) -> None:
    (tmp_path / "x").write_text("x")
    host = f"teal@{keyed.server.name}"
    config = ["-F", str(keyed.config())]
    copies = [[f"{host}:/etc/passwd", str(tmp_path / "got")]]
    copies += [[str(tmp_path / "x"), f"{host}:/tmp/pwned"]] if how[0] == "scp" else []
    with keyed.unchanged():
        for copy in copies:
            done = subprocess.run(
                [*how, *config, *copy], stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False
            )
            assert done.returncode != 0
    assert not (tmp_path / "got").exists()


@pytest.mark.row("S30")
def test_deploy_key_runs_no_ssh_rc_file(keyed: KeyedServer) -> None:
    """sshd runs no rc file, even if somebody could write one."""
    rc = keyed.server.root / "var/lib/teal/.ssh/rc"
    rc.write_text("touch /tmp/pwned\n")
    try:
        keyed.ssh(stdin=SHELL)
    finally:
        rc.unlink()
    assert "pwned" not in keyed.in_tmp()
