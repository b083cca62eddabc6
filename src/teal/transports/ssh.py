"""A server, through the user's own `ssh`: their config, agent, jump hosts and hardware keys apply, none is weakened.

One process per command. Nothing goes through it before ssh has accepted the host key: it opens no channel earlier.
"""

import re
import shlex
from collections.abc import Sequence

from teal.ground.errors import CannotReach
from teal.transports.base import (
    A_PERSON_ANSWERS_WITHIN_S,
    ANSWERS_WITHIN_S,
    Transport,
    somebody_can_be_asked,
)
from teal_host.wire.values import dataclass

_TARGET = re.compile(r"ssh://(?:([^@/]+)@)?(\[[^\]]+\]|[^\[\]:/]+)(?::([0-9]+))?/?")
_OWN_ERROR = 255  # the exit code of ssh for what is its own failure and not the command's

# No terminal, agent or X11 over there; nothing of the user's config that is meant for a login; a lost line is noticed
# within a minute, so that what happened can be told.
_FOR_A_PIPE = (
    *("-T", "-a", "-x"),
    *("-o", "ClearAllForwardings=yes"),
    *("-o", "RemoteCommand=none"),
    *("-o", "ServerAliveInterval=15"),
    *("-o", "ServerAliveCountMax=4"),
)


@dataclass(frozen=True)
class Destination:
    """What a target names. What it leaves out is for ssh's own configuration to say."""

    host: str
    user: str = ""
    port: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """With the host behind `--`, so that no name is ever an option."""
        port = ("-p", self.port) if self.port else ()
        user = ("-l", self.user) if self.user else ()
        return (*port, *user, "--", self.host)

    @property
    def login(self) -> str:
        """As a person would type it behind `ssh`."""
        port = f"-p {self.port} " if self.port else ""
        return f"{port}{self.user}@{self.host}" if self.user else f"{port}{self.host}"


def ssh(target: str) -> Transport:
    there = destination(target)
    asks = somebody_can_be_asked()
    silent = () if asks else ("-o", "BatchMode=yes")  # nothing waits for an answer that nobody can give
    return Transport(
        there.host,
        ("python3", "-I", "-S"),
        ("--server",),
        own_session=not asks,  # a question needs the terminal, and a session of its own has none
        way=("ssh", *_FOR_A_PIPE, *silent, *there.options),
        one_word=True,
        server=True,
        greets_within_s=A_PERSON_ANSWERS_WITHIN_S if asks else ANSWERS_WITHIN_S,
        explain=lambda code, errors: explain(there, code, errors),
    )


def login(target: str, command: Sequence[str], on_a_terminal: bool) -> list[str]:
    """The argv of a login with the user's own terminal."""
    there = destination(target)
    if not command:
        return ["ssh", *there.options]
    return ["ssh", *(["-t"] if on_a_terminal else []), *there.options, shlex.join(command)]


def destination(target: str) -> Destination:
    found = _TARGET.fullmatch(target)
    if found is None or found[2].startswith("-"):
        raise CannotReach(f"{target} is not a server", hint='[server] target = "ssh://[USER@]HOST[:PORT]"')
    return Destination(found[2].strip("[]"), found[1] or "", found[3] or "")


@dataclass(frozen=True)
class _Word:
    """What ssh says, what it means, and what to type. The words choose the explanation; they decide nothing."""

    said: str
    message: str
    hint: str


_WORDS = (
    _Word(
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "{host} has another host key than before; nothing was sent",
        "if the server was made anew: ssh-keygen -R '{host}', then ssh {login}; if not, somebody stands in between",
    ),
    _Word(
        "REVOKED HOST KEY",
        "the host key of {host} is revoked; nothing was sent",
        "ask whoever revoked it",
    ),
    _Word(
        "Host key verification failed",
        "the host key of {host} is not known; nothing was sent",
        "ssh {login} once, and compare its fingerprint; in CI: put the server's line into ~/.ssh/known_hosts",
    ),
    _Word("Permission denied (", "{host} does not let us in", "does this work: ssh {login}"),
    _Word("Too many authentication failures", "{host} does not let us in", "does this work: ssh {login}"),
    _Word("Could not resolve hostname", "there is no host called {host}", "look at server.target in teal.toml"),
    _Word(
        "Connection refused",
        "{host} refuses the connection: nothing listens on its port for ssh",
        'is sshd running there, and on which port? target = "ssh://USER@HOST:PORT"',
    ),
    _Word("timed out", "{host} does not answer", "is the address right, is it on, does a firewall let ssh through?"),
    _Word("No route to host", "{host} cannot be reached from here", "is the address right, is it on?"),
    _Word("Network is unreachable", "{host} cannot be reached from here", "is this machine online?"),
)


def explain(there: Destination, code: int | None, errors: Sequence[str]) -> CannotReach | None:
    """Why ssh ended before anything greeted. It has said it on the terminal already, so that is not repeated."""
    if code != _OWN_ERROR:
        return None
    said = "\n".join(errors)
    for word in _WORDS:
        if word.said in said:
            names = {"host": there.host, "login": there.login}
            return CannotReach(word.message.format(**names), hint=word.hint.format(**names))
    return CannotReach(f"ssh cannot reach {there.host}", errors[-3:], f"does this work: ssh {there.login}")
