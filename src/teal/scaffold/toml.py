"""Writes values as TOML text: only the kinds that a teal.toml has."""

import json
import re
from collections.abc import Sequence

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
MAX_LINE = 100


def string(text: str) -> str:
    """As JSON, but for the control characters that JSON alone allows, and lone surrogates of a file name."""
    characters = re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", text)
    quoted = json.dumps(characters, ensure_ascii=False)
    return re.sub("[\x7f-\x9f]", lambda match: f"\\u{ord(match[0]):04x}", quoted)


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
