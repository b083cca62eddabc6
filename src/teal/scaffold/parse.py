"""Manifests written by strangers: read without trust in their shape, and never a crash."""

import json
import re
import tomllib

Table = dict[str, object]


def toml(text: str) -> Table | None:
    """None when it cannot be read."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError):
        return None


def jsonc(text: str) -> Table | None:
    """JSON, or JSON with whole-line comments and trailing commas."""
    plain = re.sub(r",(\s*[\]}])", r"\1", re.sub(r"(?m)^[ \t]*//.*$", "", text))
    for candidate in (text, plain):
        try:
            return table(json.loads(candidate))
        except (ValueError, RecursionError):
            continue
    return None


def table(value: object, *keys: str) -> Table:
    """The table below these keys; an empty one when there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def tables(value: object) -> list[Table]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def string(value: object) -> str:
    return value if isinstance(value, str) else ""


def strings(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def quoted(text: str) -> tuple[str, ...]:
    """What stands between double quotes."""
    return tuple(re.findall(r'"([^"\n]+)"', text))
