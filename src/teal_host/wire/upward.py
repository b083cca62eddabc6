"""The grammar of what a server sends up to a client, which believes none of it before it has this form.

A word that a command, path or hint is made of has a narrow form, in which it is harmless wherever the client puts it.
`Text` can be anything: it is only ever shown, and only as `ui.base.shown` cleans it. Patterns are compiled when they
are first used, and a greeting needs none, because every command waits for it.
"""

import re
from typing import Annotated, Any, Optional, Sized, Tuple

from teal_host.wire.grammar import between, form, release_name

MOST_TEXT = 65_536  # characters of one text
MOST_ITEMS = 40_000  # of one list: an artifact has no more files

_IN_A_NAME = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_MOMENT = r"(19[7-9][0-9]|2[0-9]{3})-[0-9]{2}-[0-9]{2}T([0-9]{2}:){2}[0-9]{2}(\.[0-9]{3,6})?[+-][0-9]{2}:[0-9]{2}"
_ADDRESS = r"[0-9A-Fa-f:.]{2,45}"
_HOST = rf"(?:[A-Za-z0-9_.-]{{1,253}}|\[(?P<ipv6>{_ADDRESS})\])"
_URL = rf"https?://{_HOST}(?::(?P<port>[0-9]{{1,5}}))?/[A-Za-z0-9._~/-]{{0,1023}}"


label = form("[A-Za-z][A-Za-z0-9_. -]{0,39}", "{!r} is not the name of a step")  # or of what the doctor looks at
env_digest = form("[0-9a-f]{0,64}", "{!r} is not the name of an environment")  # the short name of a whole one
mark_word = form("[0-9a-f]{32}", "{!r} is not a word of a mark")  # one of the two by which a client knows an app's site


def machine_name(value: str) -> Optional[str]:
    """A machine or system as its kernel names it. It goes into build commands, so no shell may find more in it."""
    return None if _is_name(value) else f"{value[:60]!r} is not the name of a machine, such as x86_64"


def _is_name(value: str) -> bool:
    return 0 < len(value) <= 32 and value[0] not in ".-" and _IN_A_NAME.issuperset(value)


def version_number(value: str) -> Optional[str]:
    parts = value.split(".")
    known = 2 <= len(parts) <= 4 and all(len(part) < 6 and part.isascii() and part.isdigit() for part in parts)
    return None if known else f"{value[:60]!r} is not a version, such as 3.11.2"


def libc(value: str) -> Optional[str]:
    """Name and version of a C library; empty where nobody knows it."""
    name, _, version = value.partition(" ")
    known = not value or (_is_name(name) and _is_name(version))
    return None if known else f"{value[:60]!r} is not a C library, such as glibc 2.36"


def release_or_none(value: str) -> Optional[str]:
    """Which release wrote a line; empty where nobody knows it."""
    return release_name(value) if value else None


def moment(value: str) -> Optional[str]:
    """A time with its zone, as Python writes it."""
    from datetime import datetime  # only for what has times in it

    try:
        known = bool(re.fullmatch(_MOMENT, value) and datetime.fromisoformat(value))
    except ValueError:  # such as the 31st of February
        known = False
    return None if known else f"{value[:60]!r} is not a time, such as 2026-01-31T12:00:00+00:00"


def url(value: str) -> Optional[str]:
    """Where the app is served; empty for nowhere."""
    match = re.fullmatch(_URL, value)
    known = match and int(match["port"] or 0) <= 65535 and (match["ipv6"] is None or _version(match["ipv6"]) == 6)
    return None if known or not value else f"{value[:60]!r} is not a URL, such as http://a.example/"


def address(value: str) -> Optional[str]:
    """An IP address without a zone."""
    known = re.fullmatch(_ADDRESS, value) and _version(value)
    return None if known else f"{value[:60]!r} is not an IP address"


def _version(address: str) -> int:
    """4 or 6; 0 for no address."""
    import ipaddress  # only for the doctor, and for a URL without a name

    try:
        return ipaddress.ip_address(address).version
    except ValueError:
        return 0


def text(value: str) -> Optional[str]:
    return None if len(value) <= MOST_TEXT else f"is longer than {MOST_TEXT:,} characters"


def at_most(count: int) -> Any:
    """A check that a list or table has no more items."""

    def check(value: Sized) -> Optional[str]:
        return None if len(value) <= count else f"has more than {count:,} items"

    return check


def clip(value: Any) -> Any:
    """Plain JSON as `text` and `at_most` let it pass. An honest server clips what it sends: a line of a program's log
    can be of any length."""
    if isinstance(value, str):
        return value if len(value) <= MOST_TEXT else f"{value[: MOST_TEXT - 1]}…"
    if isinstance(value, dict):
        return {key: clip(item) for key, item in value.items()}
    return [clip(item) for item in value[:MOST_ITEMS]] if isinstance(value, list) else value


MachineName = Annotated[str, machine_name]
VersionNumber = Annotated[str, version_number]
Libc = Annotated[str, libc]
Label = Annotated[str, label]
EnvDigest = Annotated[str, env_digest]
ReleaseOrNone = Annotated[str, release_or_none]
Moment = Annotated[str, moment]
Url = Annotated[str, url]
Address = Annotated[str, address]
MarkWord = Annotated[str, mark_word]
Text = Annotated[str, text]
Texts = Annotated[Tuple[Text, ...], at_most(MOST_ITEMS)]
ProcessId = Annotated[int, between(1, 2**31)]
Duration = Annotated[float, between(0, 1e8)]
