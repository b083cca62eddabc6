"""The server side as text: a table of its modules, their digest, where it is installed, which Python runs it."""

import hashlib
import json
import re
from typing import Dict, Tuple

INSTALLED = "usr/local/lib/teal/teal-host"  # below the root of a server
PYTHON = "/usr/bin/python3"  # the system's own: a login may come with another, which a unit cannot run
VERSION = "0.1.0"  # that of the distribution
CALLS = "TEAL-CALLS"  # in every command that a client sends


def is_older(version: str, other: str) -> bool:
    """Versions such as 0.9.1 and 0.10.0; what stands behind the numbers does not count."""
    return _numbers(version) < _numbers(other)


def _numbers(version: str) -> Tuple[int, ...]:
    leading = re.match(r"[0-9]{1,9}([.][0-9]{1,9}){0,3}", version)
    return tuple(int(number) for number in leading[0].split(".")) if leading else ()


def digest(sources: Dict[str, str]) -> str:
    """Of {module: source}; the same on every Python, so in JSON's plain ASCII and not by `repr`."""
    return hashlib.sha256(json.dumps(sources, sort_keys=True).encode()).hexdigest()


def without_docstrings(text: str) -> str:
    """A module as it travels: what is for its readers alone stays behind: docstrings, and comments without a quote. Its
    lines keep their numbers.
    """
    parts = text.split('"' * 3)
    parts[::2] = [re.sub(r"(?m)(^|  ) *#[^\n\"']*$", "", code) for code in parts[::2]]
    for number in range(1, len(parts), 2):
        before = parts[number - 1].rstrip(" ")
        if not before or before.endswith("\n"):  # a statement of its own
            parts[number] = "\n" * parts[number].count("\n")
    return ('"' * 3).join(parts)
