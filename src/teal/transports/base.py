"""What a transport is: how to start a Python on the target whose standard input and output are the client's pipe."""

import contextlib
import os
import shlex
from collections.abc import Callable, Sequence

from teal.ground.errors import CannotReach
from teal_host.wire.values import dataclass

ANSWERS_WITHIN_S = 60.0
A_PERSON_ANSWERS_WITHIN_S = 600.0  # a person reads a fingerprint, or looks for a hardware key


@dataclass(frozen=True)
class Explanation:
    """Words of ssh, multipass or stage 0, what they mean, and what to type. The words choose the explanation and decide
    nothing else. `by_files`: ssh looked into its files, so the cause may be that it read others than expected.
    """

    text: str
    message: str
    hint: str
    by_files: bool = False

    def error(self, *words: str, **names: str) -> CannotReach:
        return CannotReach(self.message.format(*words, **names), hint=self.hint.format(*words, **names))


Explain = Callable[[int | None, Sequence[str]], CannotReach | None]


@dataclass(frozen=True)
class Transport:
    """`python` is the argv of a Python 3 on the target; `arguments` are those of the server side.

    `way` stands in front of that argv: the program that gets there. With `one_word` the way ends in a shell, which
    takes the argv as one word and splits it again. On a `server` the server side may be installed, and runs as root.
    `hint` is what to type where nothing answers.
    `explain` knows what exit code and standard error of the way mean when no greeting comes.
    """

    name: str
    python: tuple[str, ...]
    arguments: tuple[str, ...]
    own_session: bool
    way: tuple[str, ...] = ()
    one_word: bool = False
    server: bool = False
    greets_within_s: float = ANSWERS_WITHIN_S
    hint: str = ""
    explain: Explain = lambda code, errors: None

    def argv(self, code: str) -> list[str]:
        """The command that runs this Python code on the target."""
        command = (*self.python, "-c", code, *self.arguments)
        return [*self.way, shlex.join(command)] if self.one_word else [*self.way, *command]


def has_a_person() -> bool:
    """Is there a person at a terminal? ssh asks for passphrases and host keys on /dev/tty, not on standard input."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        return False
    with contextlib.suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
        return True
    return False
