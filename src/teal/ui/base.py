"""What a user interface is: it is told what happens and shows it; it decides nothing."""

import os
import sys
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:  # whoever asks for help waits for no message
    from teal_host.wire.messages import Note, Step


PAINT = {"blue": (0, 119, 194), "green": (0, 118, 108)}  # red, green, blue: the colors of the post


class Manner(NamedTuple):
    """How the user wants it: clig.dev, no-color.org."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    color: bool = False
    terminal: bool = False


class Progress(NamedTuple):
    """Of a step whose size is known or expected: bytes that have arrived, of so many, at so many a second."""

    step: str
    done: int
    total: int
    bytes_s: float

    @property
    def remaining_s(self) -> float | None:
        return (self.total - self.done) / self.bytes_s if self.bytes_s > 0 else None

    def __str__(self) -> str:
        left = f", {self.remaining_s:.0f} s left" if self.remaining_s is not None and self.done < self.total else ""
        rate = f", {size(round(self.bytes_s))}/s" if self.bytes_s else ""
        share = f" ({100 * self.done // self.total} %)" if self.total else ""
        return f"{size(self.done)} of {size(self.total)}{share}{rate}{left}"


class Ui(Protocol):
    @property
    def shows_output(self) -> bool:
        """Does a person see each line of the build command, and not only the one that it is at?"""

    def step(self, step: "Step") -> None: ...

    def note(self, note: "Note") -> None: ...

    def output(self, line: str) -> None:
        """A line of the build command."""

    def why(self, text: str) -> None:
        """A choice and its reason, for who asks with -v."""

    def progress(self, progress: Progress) -> None: ...

    def close(self) -> None:
        """Nothing more comes."""


def manner(json: bool, quiet: bool, verbose: bool, no_color: bool) -> Manner:
    """Colors on a terminal, unless NO_COLOR, TERM=dumb or --no-color; FORCE_COLOR turns them on elsewhere."""
    dumb = os.environ.get("TERM") == "dumb"
    terminal = sys.stderr.isatty() and not dumb
    wanted = (terminal or bool(os.environ.get("FORCE_COLOR"))) and not os.environ.get("NO_COLOR")
    return Manner(json, quiet, verbose, wanted and not no_color, terminal)


def shown(text: str) -> str:
    """Foreign text made safe for a terminal: no control characters, no way to change the terminal's state."""
    return "".join(char if char.isprintable() or char == "\t" else f"\\x{ord(char):02x}" for char in text)


def size(count: int) -> str:
    """Bytes for a person."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
