"""Text that fits the terminal: what does not fit goes to a line of its own, and no word is cut."""

import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import TextIO

_INDENT = "    "
_NARROW = 20  # columns of text beside a margin; with fewer, the margin shrinks
_GAP = "  "


def columns(stream: TextIO) -> int | None:
    """How wide the terminal is, or COLUMNS says; None for a file or a pipe, whose lines a program reads.

    COLUMNS alone makes no terminal: a program that uses readline leaves it to all that it starts.
    """
    try:
        width = os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return None
    given = os.environ.get("COLUMNS", "")
    return int(given) if re.fullmatch("[1-9][0-9]{0,4}", given) else width


def wrapped(text: str, width: int | None, margin: str = _INDENT, head: str = "") -> list[str]:
    """The text behind its head; each further line behind the margin."""
    if width is None or len(head + text) <= width:
        return [head + text]
    margin = margin if width - len(margin) >= _NARROW else _INDENT
    whole_words = textwrap.TextWrapper(
        width, initial_indent=head, subsequent_indent=margin, break_long_words=False, break_on_hyphens=False
    )
    return whole_words.wrap(text) or [head]


def packed(parts: Sequence[str], width: int | None, margin: str = _INDENT) -> list[str]:
    """As many parts on each line as fit; a part that does not fit begins the next line."""
    lines = [parts[0]]
    for part in filter(None, parts[1:]):
        if width is None or len(lines[-1] + _GAP + part) <= width:
            lines[-1] += _GAP + part
        else:
            lines.append(margin + part)
    return lines


def table(rows: Sequence[Sequence[str]], width: int | None) -> Iterator[str]:
    """Columns below each other. Where not all fit, each row has several lines, with the same columns on each."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    groups = _groups(widths, width)
    for row in rows:
        for number, group in enumerate(groups):
            cells = _GAP.join(row[column].ljust(widths[column]) for column in group).rstrip()
            if cells:
                yield (_INDENT if number else "") + cells


def _groups(widths: Sequence[int], width: int | None) -> list[list[int]]:
    """Which columns stand on the first line of a row, on the second, and so on."""
    groups: list[list[int]] = [[]]
    used = 0
    for column, own in enumerate(widths):
        if groups[-1] and width is not None and used + len(_GAP) + own > width:
            groups.append([])
            used = len(_INDENT) - len(_GAP)
        used += own + (len(_GAP) if groups[-1] or len(groups) > 1 else 0)
        groups[-1].append(column)
    return groups
