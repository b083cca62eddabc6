"""What a user interface is: it shows what happens and decides nothing."""

import os
import re
import shlex
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # `teal --help` imports no messages
    from teal_host.wire.messages import Note, Step


PAINT = {"blue": (0, 119, 194), "green": (0, 118, 108)}  # red, green, blue: the colors of the post

_COMMANDS = "init|setup|deploy|rollback|status|releases|logs|doctor|env|exec|ssh|destroy"  # that take -C
_COMMAND = re.compile(rf"\bteal (?=(?:{_COMMANDS})\b(?! -C| has))")
_FOR_A_RUNNER = re.compile(  # also where a line is wrapped
    r"(?<!\S):(?=:[A-Za-z][\w-]*(?:\s[^\n]*?)?::)|#(?=#(?:\[|vso\[|teamcity\[))"
)
STOPPED = "the server rejects this deploy"  # the detail of a build that the client stopped for that


class Manner(NamedTuple):
    """How the user wants the output: clig.dev, no-color.org. `config`: what -C named, as it was typed."""

    json: bool = False
    quiet: bool = False
    verbose: bool = False
    color: bool = False
    terminal: bool = False
    config: str = ""

    def typed(self, text: str) -> str:
        """A text with commands of Teal as this user types them: with the -C that this command was given."""
        return _COMMAND.sub(f"teal -C {shlex.quote(self.config)} ", text) if self.config else text


class Progress(NamedTuple):
    """Of a step whose size is known or estimated: `done` of `total` bytes have arrived, at `bytes_s` bytes a second."""

    step: str
    done: int
    total: int
    bytes_s: float

    @property
    def remaining_s(self) -> float | None:
        return (self.total - self.done) / self.bytes_s if self.bytes_s > 0 else None

    def __str__(self) -> str:
        seconds = self.remaining_s if self.done < self.total else None
        remaining = "" if seconds is None else f", {seconds:.0f} s left"
        rate = f", {size(round(self.bytes_s))}/s" if self.bytes_s else ""
        share = f" ({100 * self.done // self.total} %)" if self.total else ""
        return f"{size(self.done)} of {size(self.total)}{share}{rate}{remaining}"


class Ui:
    """Shows nothing; each user interface overrides what it shows."""

    shows_output = False  # does a person see every line of the build command, and not only the latest?

    def step(self, step: "Step") -> None:
        """A step that begins or has ended."""

    def note(self, note: "Note") -> None:
        """A note or a warning."""

    def output(self, line: str) -> None:
        """A line of the build command."""

    def why(self, text: str) -> None:
        """A decision and its reason, shown with -v."""

    def progress(self, progress: Progress) -> None:
        """How far a step is."""

    def close(self) -> None:
        """Nothing more is shown."""


def manner(json: bool, quiet: bool, verbose: bool, no_color: bool) -> Manner:
    """Colors on a terminal, unless NO_COLOR, TERM=dumb or --no-color; FORCE_COLOR turns them on elsewhere."""
    dumb = os.environ.get("TERM") == "dumb"
    terminal = sys.stderr.isatty() and not dumb
    wanted = (terminal or bool(os.environ.get("FORCE_COLOR"))) and not os.environ.get("NO_COLOR")
    return Manner(json, quiet, verbose, wanted and not no_color, terminal)


def shown(text: str) -> str:
    """Text from elsewhere, made safe for a terminal and for the log of a CI: control characters, which could change the
    state of the terminal, are escaped, and the beginning of what a runner would obey (`::add-mask::`, `##[group]`).
    """
    if not (text.isascii() and text.isprintable()):
        text = "".join(char if char.isprintable() or char == "\t" else f"\\x{ord(char):02x}" for char in text)
    return _FOR_A_RUNNER.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def size(count: int) -> str:
    """A count of bytes for a person."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
