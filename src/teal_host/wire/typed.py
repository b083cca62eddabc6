"""From plain JSON or TOML values to typed ones: every mistake at once, each with its place.

Small and of our own because the server side has the standard library only, and because one decoder for the wire
and for `teal.toml` means that what the client accepts and what the server side accepts cannot drift apart.
"""

import dataclasses
import functools
import json
import math
import types
from typing import (
    Annotated,
    Any,
    Callable,
    Dict,
    List,
    Literal,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Type,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

T = TypeVar("T")
Check = Callable[[Any], Optional[str]]  # gives what is wrong with a value, or None


class Mistake(NamedTuple):
    """One thing that is wrong. `place` is a dotted path such as `run.ports.blue`."""

    place: str
    says: str


class Mistakes(ValueError):
    """Everything that is wrong with one value."""

    def __init__(self, found: Sequence[Mistake]) -> None:
        super().__init__("; ".join(f"{mistake.place}: {mistake.says}" for mistake in found))
        self.found = tuple(found)


def decode(kind: Type[T], raw: object, place: str = "") -> T:
    """`raw` as a value of `kind`: from the wire and from teal.toml, where an unknown key is a mistake.

    Raises Mistakes with all of them.
    """
    found: List[Mistake] = []
    value = _read(kind, raw, place, found)
    if found:
        raise Mistakes(found)
    return value  # type: ignore[no-any-return]


def decode_known(kind: Type[T], raw: object) -> T:
    """`raw` as a value of `kind`: from the disk, where an unknown key is a newer Teal's and is left out.

    Raises Mistakes.
    """
    return decode(kind, split(kind, raw)[0])


def split(kind: Any, raw: Any) -> Tuple[Any, Dict[str, Any]]:
    """`raw` with only the keys that `kind` knows, in every table inside it; and the others, in tables of that shape."""
    table = _table_kind(kind)
    if table is None or not isinstance(raw, dict):
        return raw, {}
    hints = _hints(table)
    known: Dict[str, Any] = {}
    unknown: Dict[str, Any] = {key: value for key, value in raw.items() if key not in hints}
    for key in raw.keys() - unknown.keys():
        known[key], inner = split(hints[key], raw[key])
        if inner:
            unknown[key] = inner
    return known, unknown


def join(known: Dict[str, Any], unknown: Dict[str, Any]) -> Dict[str, Any]:
    """One table of what `split` has made two of. Where both have a value, the known one counts."""
    whole = {**unknown, **known}
    inner = [key for key, value in known.items() if isinstance(value, dict) and isinstance(unknown.get(key), dict)]
    return {**whole, **{key: join(known[key], unknown[key]) for key in inner}}


def encode(value: Any) -> Any:
    """A typed value as plain JSON; the other direction of `decode`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: encode(getattr(value, field.name)) for field in fields}
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


def near(word: str, known: Sequence[str]) -> str:
    """A hint at what was probably meant: `, did you mean "x"?` or nothing."""
    import difflib  # only for who has mistyped something

    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


_TOO_LARGE = 2**53  # a float holds every smaller whole number
_SHOWN = 120  # characters of a text that is shown as it should be written
_HINTS = 100  # to look for a near word takes its time
_WRONG: Any = object()
_PLAIN = {str: "text", int: "a whole number", bool: "true or false", float: "a number"}


def _read(kind: Any, raw: object, place: str, found: List[Mistake]) -> Any:  # noqa: PLR0911 - a table of kinds
    origin = get_origin(kind)
    if origin is Annotated:
        return _read_checked(kind, raw, place, found)
    if dataclasses.is_dataclass(kind):
        return _read_table(kind, raw, place, found)
    if origin is Union or origin is getattr(types, "UnionType", Union):  # new in 3.10
        return None if raw is None else _read(get_args(kind)[0], raw, place, found)
    if origin is tuple:
        return _read_list(get_args(kind)[0], raw, place, found)
    if origin is dict:
        return _read_map(get_args(kind), raw, place, found)
    if origin is Literal:
        return _read_choice(get_args(kind), raw, place, found)
    return raw if kind is Any else _read_plain(kind, raw, place, found)


def _table_kind(kind: Any) -> Any:
    """The dataclass that values of this kind are, or None."""
    if dataclasses.is_dataclass(kind):
        return kind
    inner = get_args(kind)
    is_wrapped = get_origin(kind) in (Annotated, Union, getattr(types, "UnionType", Union))
    return _table_kind(inner[0]) if is_wrapped else None


def _read_checked(kind: Any, raw: object, place: str, found: List[Mistake]) -> Any:
    base, *checks = get_args(kind)
    value = _read(base, raw, place, found)
    for check in checks:
        complaint = None if value is _WRONG else check(value)
        if complaint:
            found.append(Mistake(place, complaint))
            return _WRONG
    return value


@functools.cache
def _hints(kind: Any) -> Dict[str, Any]:
    """Reading annotations is slow, and a manifest has 40,000 entries of one kind."""
    return get_type_hints(kind, include_extras=True)


def _read_table(kind: Any, raw: object, place: str, found: List[Mistake]) -> Any:
    if not isinstance(raw, dict):
        return _wrong("a table", raw, place, found)
    hints = _hints(kind)
    before = len(found)
    for key in raw:
        if key not in hints:
            hint = near(str(key), list(hints)) if len(found) < _HINTS else ""
            found.append(Mistake(_under(place, str(key)), f"unknown key{hint}"))
    values = {}
    for field in dataclasses.fields(kind):
        here = _under(place, field.name)
        if field.name in raw:
            values[field.name] = _read(hints[field.name], raw[field.name], here, found)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            found.append(Mistake(here, "is missing"))
    if len(found) > before:
        return _WRONG
    return _whole(kind(**values), place, found)


def _whole(value: Any, place: str, found: List[Mistake]) -> Any:
    """A table may have a rule on several of its keys together: a method `mistakes()`."""
    own = list(value.mistakes()) if hasattr(value, "mistakes") else []
    found.extend(Mistake(_under(place, mistake.place), mistake.says) for mistake in own)
    return _WRONG if own else value


def _read_list(item: Any, raw: object, place: str, found: List[Mistake]) -> Any:
    if isinstance(raw, str) and len(raw) <= _SHOWN:
        words = raw.split() if place.endswith("command") else [raw]
        found.append(Mistake(place, f"must be a list, not {raw!r}; write [{', '.join(map(_quoted, words))}]"))
        return _WRONG
    if not isinstance(raw, (list, tuple)):
        return _wrong("a list", raw, place, found)
    return tuple(_read(item, value, f"{place}[{index}]", found) for index, value in enumerate(raw))


def _quoted(text: str) -> str:
    """As in TOML, which has JSON's strings, and others for a text that has quotes itself."""
    return f"'{text}'" if '"' in text and "'" not in text else json.dumps(text, ensure_ascii=False)


def _read_map(kinds: Any, raw: object, place: str, found: List[Mistake]) -> Any:
    if not isinstance(raw, dict):
        return _wrong("a table", raw, place, found)
    values: Dict[Any, Any] = {}
    for key, value in raw.items():
        here = _under(place, str(key))
        values[_read(kinds[0], key, here, found)] = _read(kinds[1], value, here, found)
    return values


def _read_choice(choices: Any, raw: object, place: str, found: List[Mistake]) -> Any:
    if isinstance(raw, str) and raw in choices:
        return raw
    return _wrong("one of " + ", ".join(f'"{choice}"' for choice in choices), raw, place, found)


def _read_plain(kind: Any, raw: object, place: str, found: List[Mistake]) -> Any:
    if kind in (int, float) and isinstance(raw, int) and not isinstance(raw, bool):
        return kind(raw) if abs(raw) < _TOO_LARGE else _wrong("a smaller number", raw, place, found)
    if type(raw) is not kind:
        return _wrong(_PLAIN[kind], raw, place, found)
    if isinstance(raw, float) and not math.isfinite(raw):
        return _wrong("a finite number", raw, place, found)
    return raw


def _wrong(expected: str, raw: object, place: str, found: List[Mistake]) -> Any:
    shown = {list: "a list", tuple: "a list", dict: "a table", type(None): "nothing"}.get(type(raw))
    if isinstance(raw, int) and abs(raw) >= _TOO_LARGE:
        shown = "such a large number"  # Python writes out no number of any size
    found.append(Mistake(place, f"must be {expected}, not {shown or repr(raw)[:60]}"))
    return _WRONG


def _under(place: str, key: str) -> str:
    return f"{place}.{key}" if place and key else place or key
