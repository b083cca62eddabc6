"""Writes values as TOML text: only the kinds that a teal.toml has."""

import re
from collections.abc import Sequence

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
SHORT_ESCAPES = {"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r", '"': r"\"", "\\": r"\\"}
MAX_LINE = 100


def string(text: str) -> str:
    return '"' + "".join(map(_escaped, text)) + '"'


def array(words: Sequence[str]) -> str:
    """On one line, or one word per line if one line would be too long."""
    items = [string(word) for word in words]
    line = f"[{', '.join(items)}]"
    return line if len(line) <= MAX_LINE else "[\n" + "".join(f"  {item},\n" for item in items) + "]"


def inline_table(pairs: Sequence[tuple[str, str]]) -> str:
    members = ", ".join(f"{_key(name)} = {string(value)}" for name, value in pairs)
    return f"{{ {members} }}"


def _key(name: str) -> str:
    return name if BARE_KEY.fullmatch(name) else string(name)


def _escaped(char: str) -> str:
    code = ord(char)
    if char in SHORT_ESCAPES:
        return SHORT_ESCAPES[char]
    if 0xD800 <= code <= 0xDFFF:  # a lone surrogate, from a file name that is not UTF-8
        return "\N{REPLACEMENT CHARACTER}"
    return f"\\u{code:04x}" if code < 0x20 or 0x7F <= code < 0xA0 else char
