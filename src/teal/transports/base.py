"""What a transport is: how to start a Python over there whose standard input and output are our pipe."""

import contextlib
import os
import shlex
from collections.abc import Callable, Sequence

from teal.ground.errors import CannotReach
from teal_host.wire.values import dataclass

ANSWERS_WITHIN_S = 60.0
A_PERSON_ANSWERS_WITHIN_S = 600.0  # reads a fingerprint, looks for a hardware key

Explain = Callable[[int | None, Sequence[str]], CannotReach | None]


def no_explanation(code: int | None, errors: Sequence[str]) -> CannotReach | None:
    return None


@dataclass(frozen=True)
class Transport:
    """`python` is the argv of a Python 3 over there; `arguments` are what the server side is told at its start.

    `way` is what stands in front of that argv to get there; with `one_word` it ends in a shell, which takes the argv as
    one word and splits it again. On a `server` the server side may be installed, and it is root. `explain` knows what
    the way's own exit code and words mean when nothing greets.
    """

    name: str
    python: tuple[str, ...]
    arguments: tuple[str, ...]
    own_session: bool
    way: tuple[str, ...] = ()
    one_word: bool = False
    server: bool = False
    greets_within_s: float = ANSWERS_WITHIN_S
    explain: Explain = no_explanation

    def argv(self, code: str) -> list[str]:
        """To run this Python code there."""
        command = (*self.python, "-c", code, *self.arguments)
        return [*self.way, shlex.join(command)] if self.one_word else [*self.way, *command]


def somebody_can_be_asked() -> bool:
    """Is there a person at a terminal? Programs ask for passphrases and host keys there, whatever our pipes are."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return False
    with contextlib.suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
        return True
    return False
