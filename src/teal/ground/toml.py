"""TOML that anybody wrote, such as the repository that a person has just cloned: read in bounded time."""

import re
import tomllib
from typing import Any

MOST_PARTS = 100  # of one key: tomllib takes minutes for a key of 20,000
_PART = r"""(?:[A-Za-z0-9_-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-])(?:{_PART}[ \t]*+\.[ \t]*+){{{MOST_PARTS}}}")


def loads(text: str) -> dict[str, Any]:
    """Raises ValueError for what is not TOML, in tomllib's words, and for what is nested too deep."""
    key = _LONG_KEY.search(text)
    if key:
        line = text.count("\n", 0, key.start()) + 1
        raise ValueError(f"A key has more than {MOST_PARTS} parts (at line {line})")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("It is nested too deep") from None
