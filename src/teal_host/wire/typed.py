"""From plain JSON or TOML values to typed ones: every mistake at once, each with its path.

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
MOST_MISTAKES = 100
Check = Callable[[Any], Optional[str]]  # gives what is wrong with a value, or None


class Mistake(NamedTuple):
    """One thing that is wrong. `path` is a dotted path such as `run.ports.blue`."""

    path: str
    message: str


class Mistakes(ValueError):
    """Everything that is wrong with one value, but no more than MOST_MISTAKES."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(f"{mistake.path}: {mistake.message}" for mistake in mistakes))
        self.mistakes = tuple(mistakes)


class _FirstMistakes(List[Mistake]):
    """Ends the reading when there are enough: a message can be wrong in a million places."""

    def append(self, mistake: Mistake) -> None:
        super().append(mistake)
        if len(self) >= MOST_MISTAKES:
            raise Mistakes(self)


def decode(kind: Type[T], raw: object, path: str = "") -> T:
    """`raw` as a value of `kind`: from the wire and from teal.toml, where an unknown key is a mistake.

    Raises Mistakes with all of them.
    """
    mistakes: List[Mistake] = _FirstMistakes()
    value = _read(kind, raw, path, mistakes)
    if mistakes:
        raise Mistakes(mistakes)
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
_WRONG: Any = object()
_PLAIN = {str: "text", int: "a whole number", bool: "true or false", float: "a number"}


def _read(kind: Any, raw: object, path: str, mistakes: List[Mistake]) -> Any:  # noqa: PLR0911 - a table of kinds
    origin = get_origin(kind)
    if origin is Annotated:
        return _read_checked(kind, raw, path, mistakes)
    if dataclasses.is_dataclass(kind):
        return _read_table(kind, raw, path, mistakes)
    if origin is Union or origin is getattr(types, "UnionType", Union):  # new in 3.10
        return None if raw is None else _read(get_args(kind)[0], raw, path, mistakes)
    if origin is tuple:
        return _read_list(get_args(kind)[0], raw, path, mistakes)
    if origin is dict:
        return _read_map(get_args(kind), raw, path, mistakes)
    if origin is Literal:
        return _read_choice(get_args(kind), raw, path, mistakes)
    return raw if kind is Any else _read_plain(kind, raw, path, mistakes)


def _table_kind(kind: Any) -> Any:
    """The dataclass that values of this kind are, or None."""
    if dataclasses.is_dataclass(kind):
        return kind
    inner = get_args(kind)
    is_wrapped = get_origin(kind) in (Annotated, Union, getattr(types, "UnionType", Union))
    return _table_kind(inner[0]) if is_wrapped else None


def _read_checked(kind: Any, raw: object, path: str, mistakes: List[Mistake]) -> Any:
    base, *checks = get_args(kind)
    value = _read(base, raw, path, mistakes)
    for check in checks:
        complaint = None if value is _WRONG else check(value)
        if complaint:
            mistakes.append(Mistake(path, complaint))
            return _WRONG
    return value


@functools.cache
def _hints(kind: Any) -> Dict[str, Any]:
    """Reading annotations is slow, and a manifest has 40,000 entries of one kind."""
    return get_type_hints(kind, include_extras=True)


def _read_table(kind: Any, raw: object, path: str, mistakes: List[Mistake]) -> Any:
    if not isinstance(raw, dict):
        return _wrong("a table", raw, path, mistakes)
    hints = _hints(kind)
    before = len(mistakes)
    for key in raw:
        if key not in hints:
            mistakes.append(Mistake(_under(path, str(key)), f"unknown key{near(str(key)[:_SHOWN], list(hints))}"))
    values = {}
    for field in dataclasses.fields(kind):
        here = _under(path, field.name)
        if field.name in raw:
            values[field.name] = _read(hints[field.name], raw[field.name], here, mistakes)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            mistakes.append(Mistake(here, "is missing"))
    if len(mistakes) > before:
        return _WRONG
    return _whole(kind(**values), path, mistakes)


def _whole(value: Any, path: str, mistakes: List[Mistake]) -> Any:
    """A table may have a rule on several of its keys together: a method `mistakes()`."""
    own = list(value.mistakes()) if hasattr(value, "mistakes") else []
    for mistake in own:
        mistakes.append(Mistake(_under(path, mistake.path), mistake.message))
    return _WRONG if own else value


def _read_list(item: Any, raw: object, path: str, mistakes: List[Mistake]) -> Any:
    if isinstance(raw, str) and len(raw) <= _SHOWN:
        words = raw.split() if path.endswith("command") else [raw]
        mistakes.append(Mistake(path, f"must be a list, not {raw!r}; write [{', '.join(map(_quoted, words))}]"))
        return _WRONG
    if not isinstance(raw, (list, tuple)):
        return _wrong("a list", raw, path, mistakes)
    return tuple(_read(item, value, f"{path}[{index}]", mistakes) for index, value in enumerate(raw))


def _quoted(text: str) -> str:
    """As in TOML, which has JSON's strings, and others for a text that has quotes itself."""
    return f"'{text}'" if '"' in text and "'" not in text else json.dumps(text, ensure_ascii=False)


def _read_map(kinds: Any, raw: object, path: str, mistakes: List[Mistake]) -> Any:
    if not isinstance(raw, dict):
        return _wrong("a table", raw, path, mistakes)
    values: Dict[Any, Any] = {}
    for key, value in raw.items():
        here = _under(path, str(key))
        values[_read(kinds[0], key, here, mistakes)] = _read(kinds[1], value, here, mistakes)
    return values


def _read_choice(choices: Any, raw: object, path: str, mistakes: List[Mistake]) -> Any:
    if isinstance(raw, str) and raw in choices:
        return raw
    return _wrong("one of " + ", ".join(f'"{choice}"' for choice in choices), raw, path, mistakes)


def _read_plain(kind: Any, raw: object, path: str, mistakes: List[Mistake]) -> Any:
    if kind in (int, float) and isinstance(raw, int) and not isinstance(raw, bool):
        return kind(raw) if abs(raw) < _TOO_LARGE else _wrong("a smaller number", raw, path, mistakes)
    if type(raw) is not kind:
        return _wrong(_PLAIN[kind], raw, path, mistakes)
    if isinstance(raw, float) and not math.isfinite(raw):
        return _wrong("a finite number", raw, path, mistakes)
    return raw


def _wrong(expected: str, raw: object, path: str, mistakes: List[Mistake]) -> Any:
    shown = {list: "a list", tuple: "a list", dict: "a table", type(None): "nothing"}.get(type(raw))
    if isinstance(raw, int) and abs(raw) >= _TOO_LARGE:
        shown = "such a large number"  # Python writes out no number of any size
    mistakes.append(Mistake(path, f"must be {expected}, not {shown or repr(raw)[:60]}"))
    return _WRONG


def _under(path: str, key: str) -> str:
    key = key[:_SHOWN]  # of someone else's
    return f"{path}.{key}" if path and key else path or key
