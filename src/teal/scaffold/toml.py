"""Values as TOML text: the few kinds that a teal.toml has."""

import re
from collections.abc import Sequence

BARE = re.compile(r"[A-Za-z0-9_-]+")
SHORT = {"\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r", '"': r"\"", "\\": r"\\"}
WIDE = 100


def string(text: str) -> str:
    return '"' + "".join(map(_escaped, text)) + '"'


def array(words: Sequence[str]) -> str:
    """On one line, or one word a line when that would be long."""
    items = [string(word) for word in words]
    line = f"[{', '.join(items)}]"
    return line if len(line) <= WIDE else "[\n" + "".join(f"  {item},\n" for item in items) + "]"


def inline_table(pairs: Sequence[tuple[str, str]]) -> str:
    inside = ", ".join(f"{_key(name)} = {string(value)}" for name, value in pairs)
    return f"{{ {inside} }}"


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else string(name)


def _escaped(char: str) -> str:
    code = ord(char)
    if char in SHORT:
        return SHORT[char]
    if 0xD800 <= code <= 0xDFFF:  # half a character, from a file name that is not UTF-8
        return "\N{REPLACEMENT CHARACTER}"
    return f"\\u{code:04x}" if code < 0x20 or 0x7F <= code < 0xA0 else char
