"""What arrives before the greeting of the server side, and what it means when no greeting comes.

Stage 0 prints lines `TEAL-HOST-WORD DETAIL` (see stage0.py). Everything else is the noise of login scripts.
"""

import io
import re
import select
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from teal.ground.errors import CannotReach
from teal.transports import Transport
from teal.transports.base import Explanation

_WORD = "TEAL-HOST-"
_SYNC = "1"  # the greeting follows
_SEND = "SEND"  # this version of the server side is not installed: stage 0 waits for it
_NOISE_LIMIT = 64 * 1024  # bytes that login scripts may print before the greeting
_DETAIL = r"([A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63})?"  # a user, version or module; some hints repeat it
_INSTALL_PYTHON = "as root on the server: apt install python3"
_NO_SUCH_PROGRAM = 127  # the exit code of a shell


@dataclass
class Preamble:
    """What came before the greeting. `words` are pairs of a word and its detail."""

    greets: bool = False
    in_time: bool = True
    too_long: bool = False
    words: list[tuple[str, str]] = field(default_factory=list)
    noise: list[str] = field(default_factory=list)

    @property
    def last_word(self) -> tuple[str, str]:
        return self.words[-1] if self.words else ("", "")


@dataclass(frozen=True)
class TransportExit:
    """How the transport's program ended: its exit code, and the last lines of its standard error."""

    code: int | None
    errors: Sequence[str] = ()


def read_preamble(raw: io.FileIO, send: Callable[[], None], patience_s: float) -> Preamble:
    """Read up to the line before the greeting, or to the end. Calls `send` when stage 0 asks for the server side."""
    preamble = Preamble()
    deadline = time.monotonic() + patience_s
    line, count = b"", 0
    while count < _NOISE_LIMIT:
        if not select.select([raw], [], [], max(0.0, deadline - time.monotonic()))[0]:
            preamble.in_time = False
            break
        byte = raw.read(1)  # byte by byte, because the frames begin right after this line
        count += 1
        if byte and byte != b"\n":
            line += byte
            continue
        _take_line(preamble, line.decode(errors="replace"), bool(byte), send)
        line = b""
        if preamble.greets or not byte:
            break
    preamble.too_long = count == _NOISE_LIMIT and not preamble.greets
    if line.strip():
        preamble.noise.append(line.decode(errors="replace"))
    return preamble


def _take_line(preamble: Preamble, line: str, whole: bool, send: Callable[[], None]) -> None:
    name, _, detail = line.removeprefix(_WORD).partition(" ")
    if whole and line == _WORD + _SYNC:
        preamble.greets = True
    elif whole and line == _WORD + _SEND:
        preamble.words.append((name, detail))
        send()
    elif whole and line.startswith(_WORD) and name in _EXPLANATIONS and re.fullmatch(_DETAIL, detail):
        preamble.words.append((name, detail))
    elif line.strip():
        preamble.noise.append(line)


def explain_silence(transport: Transport, preamble: Preamble, end: TransportExit) -> CannotReach:
    """Why no greeting came, and what to type."""
    name, detail = preamble.last_word
    if name in _EXPLANATIONS:
        return _EXPLANATIONS[name].error(detail, transport.name)
    if preamble.too_long:
        message = f"{transport.name} printed more than {_NOISE_LIMIT // 1024} KiB before the server side could answer"
        hint = "a login script there (.profile, .bashrc) should print nothing where there is no terminal"
        return CannotReach(message, preamble.noise[-10:], hint)
    error = transport.explain(end.code, end.errors)
    if error is not None:
        return error
    if end.code == _NO_SUCH_PROGRAM:
        return CannotReach(f"there is no python3 on {transport.name}", preamble.noise[-10:], _INSTALL_PYTHON)
    if not preamble.in_time:
        message = f"{transport.name} did not answer within {transport.greets_within_s:g} s"
        return CannotReach(message, preamble.noise[-10:], transport.hint)
    return CannotReach(f"the server side did not start on {transport.name}", preamble.noise[-10:])


def other_version(name: str) -> CannotReach:
    """Setup finds out which of the two is newer, and says so before it takes a newer one back."""
    hint = "teal setup (as the server's admin); if that finds a newer Teal there, update this one"
    return CannotReach(f"the server side on {name} is of another version of Teal", hint=hint)


_LAST_WORDS = (
    Explanation("TOO-OLD", "the Python on {1} is {0}; Teal needs 3.9 or newer", "a newer Debian or Ubuntu"),
    Explanation(
        "INCOMPLETE",
        "the Python on {1} is incomplete: it has no module {0} (python3-minimal is not enough)",
        _INSTALL_PYTHON,
    ),
    Explanation(
        "NO-SUDO",
        "{} is not root on {}, and there is no sudo",
        "log in as root, or as root on the server: apt install sudo",
    ),
    Explanation(  # sudo gave its reason on standard error, and nothing came after it
        "SUDO",
        "{} may not use sudo without a password on {}",
        "as root on the server: echo '{} ALL=(root) NOPASSWD: ALL' >> /etc/sudoers.d/teal; or log in as root",
    ),
)
_EXPLANATIONS = {explanation.text: explanation for explanation in _LAST_WORDS}
