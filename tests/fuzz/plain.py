"""Plain values that a typed definition allows, made from the definition: of each field what its checks let pass."""

import dataclasses
import functools
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from host import values
from teal_host.wire.manifest import Manifest
from teal_host.wire.typed import encode

KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
)
WORDS = [
    *("", "a", "shop", "0001-0123456789ab", "7", "0" * 32, "0" * 64, "0" * 16, "example.com", "A_NAME", "a\nb"),
    *("/healthz", "./program", "bin/program", "/srv/uploads", "CAP_NET_RAW", "@resources", "gzip off;", "x86_64"),
    *("linux", "3.11.2", "glibc 2.36", "upload", "2026-01-31T12:00:00+00:00", "http://a.example/", "192.0.2.1"),
    *("2001:db8::1", "\x1b[31mred", "::add-mask::x", "\u202e", "é" * 100, "{port}", "http://[2001:db8::1]:8080/"),
    *("letsencrypt", "me@example.com", "https://ca.example.com/dir"),
    *KEY,
]
NUMBERS = [0, 1, 2, 3, 8, 64, 100, 200, 599, 1024, 8081, 65_535, 86_400, 2**31, 2**53 - 1]


def plain(kind: Any) -> st.SearchStrategy[Any]:
    return _of_kind(kind)


@functools.cache
def _of_kind(kind: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - a table of kinds, as in wire/typed
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Manifest:
        return values.MANIFESTS.map(encode)
    if origin is Annotated:
        return _checked(inner[0], inner[1:])
    if dataclasses.is_dataclass(kind):
        return _table(kind)
    if origin in (Union, types.UnionType):
        return st.none() | plain(inner[0])
    if origin is tuple:
        return st.lists(plain(inner[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(plain(inner[0]), plain(inner[1]), max_size=3)
    if origin is Literal:
        return st.sampled_from(inner)
    return _SIMPLE[kind]


_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.sampled_from(WORDS),
    int: st.sampled_from(NUMBERS),
    float: st.sampled_from([*NUMBERS, 0.5]),
    bool: st.booleans(),
    Any: values.JSON,
}


def _checked(base: Any, checks: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    if base not in (str, int, float):
        return plain(base)
    pool = [value for value in (WORDS if base is str else NUMBERS) if not any(check(value) for check in checks)]
    assert pool, f"no word of WORDS passes {checks}"
    return st.sampled_from(pool)


def _table(kind: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind, include_extras=True)
    required: dict[Any, Any] = {}
    optional: dict[Any, Any] = {}
    for field in dataclasses.fields(kind):
        is_required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        (required if is_required else optional)[field.name] = plain(hints[field.name])
    return st.fixed_dictionaries(required, optional=optional)
