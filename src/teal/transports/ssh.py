"""A server, through the user's own `ssh`: its config, agent, jump hosts and hardware keys apply unchanged.

One ssh process per command. ssh opens no channel before it has accepted the host key, so nothing is sent earlier.
"""

import os
import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from teal.ground import run
from teal.ground.errors import CannotReach
from teal.transports.base import A_PERSON_ANSWERS_WITHIN_S, ANSWERS_WITHIN_S, Explanation, Transport, has_a_person
from teal.transports.ssh_files import CONFIG, SshFiles, ssh_files
from teal_host.wire.values import dataclass

_TARGET = re.compile(r"ssh://(?:([^@/]+)@)?(\[[^\]]+\]|[^\[\]:/]+)(?::([0-9]+))?/?")
_SSH_FAILED = 255  # the exit code of ssh for a failure of its own; all others are the command's

# No terminal, agent or X11 on the server, and none of the settings that are meant for a login. The keep-alive notices
# a lost connection within a minute, so that Teal can report it.
_FOR_A_PIPE = (
    *("-T", "-a", "-x"),
    *("-o", "ClearAllForwardings=yes"),
    *("-o", "RemoteCommand=none"),
    *("-o", "ServerAliveInterval=15"),
    *("-o", "ServerAliveCountMax=4"),
)


@dataclass(frozen=True)
class Destination:
    """The parts of a target. What the target leaves out, ssh's own configuration decides."""

    host: str
    user: str = ""
    port: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """The host stands behind `--`, so that no name is ever an option."""
        port = ("-p", self.port) if self.port else ()
        user = ("-l", self.user) if self.user else ()
        return (*port, *user, "--", self.host)

    @property
    def login(self) -> str:
        """As a person would type it after `ssh`."""
        port = f"-p {self.port} " if self.port else ""
        return f"{port}{self.user}@{self.host}" if self.user else f"{port}{self.host}"


def ssh(target: str) -> Transport:
    destination, files = parse(target), ssh_files()
    interactive = has_a_person()
    silent = () if interactive else ("-o", "BatchMode=yes")  # ssh fails at once instead of asking nobody
    return Transport(
        destination.host,
        ("python3", "-I", "-S"),
        ("--server",),
        own_session=not interactive,  # a question needs the terminal, and a session of its own has none
        way=("ssh", *files.options, *_FOR_A_PIPE, *silent, *destination.options),
        one_word=True,
        server=True,
        greets_within_s=A_PERSON_ANSWERS_WITHIN_S if interactive else ANSWERS_WITHIN_S,
        hint=IS_IT_THERE,
        explain=lambda code, errors: explain(destination, files, code, errors),
    )


def login(target: str, command: Sequence[str], on_a_terminal: bool) -> list[str]:
    """The argv of a login with the user's own terminal."""
    destination, ssh = parse(target), ["ssh", *ssh_files().options]
    if not command:
        return [*ssh, *destination.options]
    return [*ssh, *(["-t"] if on_a_terminal else []), *destination.options, shlex.join(command)]


def parse(target: str) -> Destination:
    match = _TARGET.fullmatch(target)
    if match is None or match[2].startswith("-"):
        raise CannotReach(f"{target} is not a server")  # the configuration is checked before
    return Destination(match[2].strip("[]"), match[1] or "", match[3] or "")


IS_IT_THERE = "is the address right, is it on, does a firewall block ssh?"
_TRY = "does this work: {ssh} {login}"
_OFFLINE = "is this machine online?"
_OTHER_HOME = (
    "ssh reads {ssh_home}/.ssh and ignores HOME={env_home}: write a configuration with IdentityFile and "
    f"UserKnownHostsFile, and set {CONFIG} to that file"
)
_UNKNOWN_KEY = "{ssh} {login} once, and compare its fingerprint; in CI: put the server's line into {known_hosts}"
_UNKNOWN_KEY_IN_CI = (
    "put the server's line into {known_hosts}, from a machine that knows the server; where somebody can answer: "
    "{ssh} {login} once, and compare its fingerprint"
)
_EXPLANATIONS = (
    Explanation(
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "{host} has another host key than before; nothing was sent",
        "if the server was reinstalled: remove the line that ssh names above (ssh-keygen -R {known_as} -f "
        "{known_hosts}), then {ssh} {login}; if not, somebody intercepts it",
    ),
    Explanation(
        "REVOKED HOST KEY",
        "the host key of {host} is revoked; nothing was sent",
        "ask whoever wrote that: an @revoked line of {known_hosts}, or RevokedHostKeys of ssh",
    ),
    Explanation(
        "Host key verification failed",
        "the host key of {host} is not known; nothing was sent",
        _UNKNOWN_KEY,
        by_files=True,
    ),
    Explanation("Permission denied (", "{host} does not accept the login", _TRY, by_files=True),
    Explanation("Too many authentication failures", "{host} does not accept the login", _TRY),
    Explanation(
        "Bad configuration option",
        "ssh does not understand its configuration; nothing was sent",
        "mend the line that ssh names above",
    ),
    Explanation(
        "No user exists for uid",
        "ssh does not start, because this user is not in the password file",
        "give this user a line in /etc/passwd, such as with useradd, or run Teal as a user that has one",
    ),
    Explanation("Temporary failure in name resolution", "no name server answered for {host}", _OFFLINE),
    Explanation(
        "Could not resolve hostname",
        "there is no host called {host}",
        "look at [server] target in teal.toml, or at TEAL_TARGET",
    ),
    Explanation(
        "Connection refused",
        "{host} refuses the connection: nothing listens on its port for ssh",
        'is sshd running there, and on which port? target = "ssh://USER@HOST:PORT"',
    ),
    Explanation("timed out", "{host} does not answer", IS_IT_THERE),
    Explanation("No route to host", "{host} cannot be reached from here", IS_IT_THERE),
    Explanation("Network is unreachable", "{host} cannot be reached from here", _OFFLINE),
)


def explain(destination: Destination, files: SshFiles, code: int | None, errors: Sequence[str]) -> CannotReach | None:
    """Why ssh ended before the greeting. Its own words are on the terminal already and are not repeated."""
    if code != _SSH_FAILED:
        return None
    names = {
        "host": destination.host,
        "login": destination.login,
        "ssh": files.command,
        "ssh_home": files.ssh_home,
        "env_home": files.env_home,
    }
    output = "\n".join(errors)
    for explanation in _EXPLANATIONS:
        if explanation.text in output:
            hint = _OTHER_HOME if explanation.by_files and files.ignores_home else explanation.hint
            if hint == _UNKNOWN_KEY and not has_a_person():
                hint = _UNKNOWN_KEY_IN_CI
            if "{known_hosts}" in hint:
                names |= _known(destination, files)
            return CannotReach(explanation.message.format(**names), hint=hint.format(**names))
    return CannotReach(f"ssh cannot reach {destination.host}", errors[-3:], _TRY.format(**names))


def _known(destination: Destination, files: SshFiles) -> dict[str, str]:
    """The name under which ssh knows the server, and the file of that line: an alias may have others of its own."""
    output = run.read_output(["ssh", *files.options, "-G", *destination.options], Path.cwd(), os.environ) or ""
    settings = dict(line.split(" ", 1) for line in output.splitlines() if " " in line)
    host, port = settings.get("hostname", destination.host), settings.get("port", destination.port) or "22"
    name = settings.get("hostkeyalias") or (host if port == "22" else f"[{host}]:{port}")
    known = settings.get("userknownhostsfile", "")
    return {"known_as": shlex.quote(name), "known_hosts": first_path(known) if known else "~/.ssh/known_hosts"}


def first_path(files: str) -> str:
    """Of the files that `ssh -G` writes with a space between, and without quotes even if a path has a space. Quoted,
    because a person types it.
    """
    return shlex.quote(re.split(" (?=[/~])", files)[0])
