"""Parses manifests that strangers wrote. A manifest of any shape never raises an error."""

import json
import re

from teal.ground.toml import loads

Table = dict[str, object]


def toml(text: str) -> Table | None:
    """None for a text that is not TOML."""
    try:
        return loads(text)
    except ValueError:
        return None


def jsonc(text: str) -> Table | None:
    """JSON, also with whole-line comments and trailing commas. None for any other text."""
    plain = re.sub(r",(\s*[\]}])", r"\1", re.sub(r"(?m)^[ \t]*//.*$", "", text))
    for candidate in (text, plain):
        try:
            return table(json.loads(candidate))
        except (ValueError, RecursionError):
            continue
    return None


def table(value: object, *keys: str) -> Table:
    """The table below these keys, or an empty table."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def tables(value: object) -> list[Table]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def string(value: object) -> str:
    return value if isinstance(value, str) else ""


def strings(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def first(pattern: re.Pattern[str], text: str, default: str = "") -> str:
    """The group of the first match."""
    match = pattern.search(text)
    return match[1] if match else default


def quoted(text: str) -> tuple[str, ...]:
    """The strings between double quotes."""
    return tuple(re.findall(r'"([^"\n]+)"', text))
