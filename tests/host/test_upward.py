"""What a server sends: every field of every message has a grammar or a bound, and correct values pass."""

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from teal_host.wire import grammar, messages, upward
from teal_host.wire.frames import Frame
from teal_host.wire.messages import Failure, LogLine, Note
from teal_host.wire.uploads import MissingFiles

SENT_BY_A_SERVER = (*messages.EVENTS, *messages.ANSWERS)
ONLY_SHOWN = {upward.text, grammar.line}
ONLY_LOOKED_UP = {grammar.file_path}  # among the paths of the artifact
HOSTILE = ("x;id", "$(id)", "`id`", "x|id", "x>y", "'", '"', "a\nb", "\x1b[2J", "-rf", "..", "::error::x", "{os}")
NUMBERS = (-(2.0**54), 2.0**54)


def leaves(kind: Any, path: str) -> Iterator[tuple[str, Any, list[Any]]]:
    """Every plain type inside a message's type, with the checks around the type; every list and table as well."""
    checks: list[Any] = []
    if hasattr(kind, "__metadata__"):
        checks, kind = list(kind.__metadata__), get_args(kind)[0]
    parts = [part for part in get_args(kind) if part not in (type(None), ...)]
    if dataclasses.is_dataclass(kind):
        for name, hint in get_type_hints(kind, include_extras=True).items():
            yield from leaves(hint, f"{path}.{name}")
    elif get_origin(kind) is Literal:
        return
    else:
        yield path, get_origin(kind) or kind, checks
        for part in parts:
            yield from leaves(part, path)


LEAVES = {
    f"{path} {kind}": (kind, checks)
    for message in SENT_BY_A_SERVER
    for path, kind, checks in leaves(message, message.__name__)
    if kind is not bool
}


def refuses(checks: list[Any], value: object) -> bool:
    return any(check(value) for check in checks)


@pytest.mark.parametrize(("kind", "checks"), LEAVES.values(), ids=list(LEAVES))
def test_field_of_a_servers_message_has_a_grammar_or_a_bound(kind: Any, checks: list[Any]) -> None:
    """The author of a new message, or of a new field, cannot forget the grammar."""
    if kind is str:
        assert refuses(checks, "x" * (upward.MOST_TEXT + 1))
        passing = [value for value in HOSTILE if not refuses(checks, value)]
        assert not passing or set(checks) & (ONLY_SHOWN | ONLY_LOOKED_UP)
    elif kind in (int, float):
        assert all(refuses(checks, number) for number in NUMBERS)
    elif kind in (tuple, dict):
        assert refuses(checks, range(upward.MOST_ITEMS + 1))
    else:
        assert "Union" in str(kind), "no other kind of value is known to be harmless"


@pytest.mark.row("S27")
def test_fields_of_a_servers_messages_are_all_looked_at() -> None:
    assert len(LEAVES) > 80
    assert any(path.startswith("StatusReport.colors.port") for path in LEAVES)


GOOD = [
    *((upward.machine_name, name) for name in ("x86_64", "aarch64", "armv7l", "i686", "riscv64", "s390x", "linux")),
    *((upward.libc, name) for name in ("", "glibc 2.36", "glibc 2.31")),
    *((upward.version_number, name) for name in ("3.9.2", "3.13.0", "3.11")),
    *((upward.label, name) for name in ("close the route", "teal.toml", "nginx -t", "upload")),
    *((upward.url, name) for name in ("", "http://localhost:8080/", "https://a-b.example/", "http://[2001:db8::1]/")),
    *((upward.address, name) for name in ("192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1")),
    *((upward.moment, name) for name in ("2026-01-31T12:00:00+00:00", "1970-01-01T00:00:00.123-05:30")),
    *((upward.release_or_none, name) for name in ("", "0001-0123456789ab")),
]
BAD = [
    *((upward.moment, name) for name in ("", "now", "2026-02-30T00:00:00+00:00", "0001-01-01T00:00:00+00:00")),
    *(
        (upward.url, name)
        for name in ("javascript:x", "http://a/\n", "http://a b/", "http://a@b/", "http://a/?x", "http://a:99999/")
    ),
    *((upward.url, name) for name in ("http://[1.2.3.4]/", "http://[::::]/", "http://[]/")),
    *((upward.address, name) for name in ("", "1.2.3", "fe80::1%eth0", ":::", "1.2.3.4.5")),
    *((upward.release_or_none, name) for name in ("x", "0001-0123456789ab\n")),
    *((upward.version_number, name) for name in ("", "3", "3.", "3.11.2\n")),
    *((upward.libc, name) for name in ("glibc", "glibc 2.36\n", " 2.36")),
]


def _shown(argument: Any) -> str:
    """An id that is the same in each worker, because the repr of a function contains its address."""
    return getattr(argument, "__name__", repr(argument))


@pytest.mark.parametrize(("check", "value"), GOOD, ids=_shown)
def test_honest_value_passes(check: Any, value: str) -> None:
    assert check(value) is None


@pytest.mark.parametrize(("check", "value"), BAD, ids=_shown)
def test_strange_value_does_not_pass(check: Any, value: str) -> None:
    assert check(value)


LONG = (
    LogLine("blue", "", "x" * 1_000_000),
    Note("info", "é" * (upward.MOST_TEXT + 1)),
    Failure("unexpected", "\ud800" * 100_000, ("x" * 100_000,) * 3),
    Failure("unexpected", "much", ("line",) * 100_000),
    MissingFiles("0001-0123456789ab", tuple(range(upward.MOST_ITEMS))),
)


@pytest.mark.parametrize("message", LONG, ids=lambda message: type(message).__name__)
def test_server_clips_what_is_longer_than_a_client_takes(message: Any) -> None:
    sent = Frame(upward.clip(messages.to_header(message)))
    arrived = messages.from_frame(sent, (type(message),))
    assert type(arrived) is type(message)
    if isinstance(message, MissingFiles):
        assert arrived == message
