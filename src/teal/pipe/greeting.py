"""What is said over there before the server side greets, and what it means when it never does.

Words are lines `TEAL-HOST-…` that stage 0 says (see stage0.py); everything else is the noise of login scripts.
"""

import io
import re
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from teal.ground.errors import CannotReach
from teal.transports import Transport

_WORD = "TEAL-HOST-"
_SYNC = "1"  # the greeting follows
_SEND = "SEND"  # what is installed there, if anything, is not ours: it waits for the server side
_NOISE_LIMIT = 64 * 1024  # bytes that login scripts may say before the greeting
_SAYS = r"([A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63})?"  # a user, version or module; some hints repeat it
_NO_SUCH_PROGRAM = 127  # as a shell tells it


@dataclass
class Heard:
    """What came before the greeting. `words` are (name, what it says)."""

    greets: bool = False
    in_time: bool = True
    words: list[tuple[str, str]] = field(default_factory=list)
    noise: list[str] = field(default_factory=list)

    @property
    def last_word(self) -> tuple[str, str]:
        return self.words[-1] if self.words else ("", "")


@dataclass(frozen=True)
class Ended:
    """How the program at this end of the pipe ended, and what it said on standard error."""

    code: int | None
    errors: Sequence[str] = ()


def listen(raw: io.FileIO, send: Callable[[], None], patience_s: float) -> Heard:
    """Up to the word behind which the greeting comes, or the end. `send` is called when the server side is wanted."""
    heard = Heard()
    deadline = time.monotonic() + patience_s
    line, count = b"", 0
    while count < _NOISE_LIMIT:
        if not select.select([raw], [], [], max(0.0, deadline - time.monotonic()))[0]:
            heard.in_time = False
            break
        byte = raw.read(1)  # one by one, because behind the word the frames begin
        count += 1
        if byte and byte != b"\n":
            line += byte
            continue
        _take(heard, line.decode(errors="replace"), bool(byte), send)
        line = b""
        if heard.greets or not byte:
            break
    if line.strip():
        heard.noise.append(line.decode(errors="replace"))
    return heard


def _take(heard: Heard, line: str, whole: bool, send: Callable[[], None]) -> None:
    name, _, says = line.removeprefix(_WORD).partition(" ")
    if whole and line == _WORD + _SYNC:
        heard.greets = True
    elif whole and line == _WORD + _SEND:
        heard.words.append((name, says))
        send()
    elif whole and line.startswith(_WORD) and name in _MEANINGS and re.fullmatch(_SAYS, says):
        heard.words.append((name, says))
    elif line.strip():
        heard.noise.append(line)


def refusal(transport: Transport, heard: Heard, ended: Ended) -> CannotReach:
    """Why nothing greeted, and what to type."""
    name, says = heard.last_word
    if name in _MEANINGS:
        return _MEANINGS[name](transport.name, says)
    explained = transport.explain(ended.code, ended.errors)
    if explained is not None:
        return explained
    if ended.code == _NO_SUCH_PROGRAM:
        return CannotReach(f"there is no python3 on {transport.name}", heard.noise[-10:], "there: apt install python3")
    if not heard.in_time:
        message = f"{transport.name} did not answer within {transport.greets_within_s:g} s"
        return CannotReach(message, heard.noise[-10:], "is the address right, is it on?")
    return CannotReach(f"the server side did not start on {transport.name}", heard.noise[-10:])


def another_teal(name: str) -> CannotReach:
    return CannotReach(f"the server side on {name} is of another Teal", hint="teal setup")


def _too_old(where: str, version: str) -> CannotReach:
    hint = "there: apt install python3, or a newer release of its system"
    return CannotReach(f"the Python on {where} is {version}; Teal needs 3.9 or newer there", hint=hint)


def _incomplete(where: str, module: str) -> CannotReach:
    """Debian's python3-minimal."""
    message = f"the Python on {where} is not whole: it has no module {module}"
    return CannotReach(message, hint="there: apt install python3 (python3-minimal is not enough)")


def _no_sudo(where: str, user: str) -> CannotReach:
    hint = "log in as root, or there, as root: apt install sudo"
    return CannotReach(f"{user} is not root on {where}, and there is no sudo", hint=hint)


def _refused_by_sudo(where: str, user: str) -> CannotReach:
    """sudo has said why on standard error, and nothing more came."""
    hint = f"there, as root: echo '{user} ALL=(root) NOPASSWD: ALL' > /etc/sudoers.d/teal; or log in as root"
    return CannotReach(f"{user} may not use sudo without a password on {where}", hint=hint)


_MEANINGS: dict[str, Callable[[str, str], CannotReach]] = {
    "TOO-OLD": _too_old,
    "INCOMPLETE": _incomplete,
    "NO-SUDO": _no_sudo,
    "SUDO": _refused_by_sudo,
}
