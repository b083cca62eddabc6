"""schemas/teal.schema.json agrees with Teal about teal.toml: the same keys, kinds, defaults and limits."""

import dataclasses
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest

from contract.judge import SCHEMAS, complaint, good_but
from teal.config.model import Config
from teal_host.wire.typed import decode

REPO = Path(__file__).parents[2]
SCHEMA = SCHEMAS["teal"]
NO_DEFAULT = object()
KINDS = {str: "string", int: "integer", float: "number", bool: "boolean", tuple: "array", dict: "object"}


@dataclasses.dataclass(frozen=True)
class Key:
    """One key of teal.toml: what the program says about the key, and what the schema says."""

    place: str
    hint: Any
    field: "dataclasses.Field[Any]"
    schema: dict[str, Any]

    @property
    def default(self) -> object:
        if self.field.default_factory is not dataclasses.MISSING:
            return self.field.default_factory()
        return NO_DEFAULT if self.field.default is dataclasses.MISSING else self.field.default


def _tables(
    kind: Any = Config, schema: dict[str, Any] = SCHEMA, place: str = ""
) -> Iterator[tuple[Any, dict[str, Any], str]]:
    """Every table of teal.toml: its dataclass, its schema, its place."""
    yield kind, schema, place
    for name, hint in get_type_hints(kind, include_extras=True).items():
        inner = _dataclass(hint)
        if inner:
            yield from _tables(inner, _resolved(schema["properties"][name]), f"{place}{name}.")


def _keys() -> Iterator[Key]:
    for kind, schema, place in _tables():
        hints = get_type_hints(kind, include_extras=True)
        for field in dataclasses.fields(kind):
            yield Key(f"{place}{field.name}", hints[field.name], field, _resolved(schema["properties"][field.name]))


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    schema_: Any = SCHEMA
    for part in schema["$ref"].split("/")[1:] if "$ref" in schema else ():
        schema_ = schema_[part]
    return schema_ if "$ref" in schema else schema


def _dataclass(hint: Any) -> Any:
    return next((part for part in (hint, *get_args(hint)) if dataclasses.is_dataclass(part)), None)


def _plain(hint: Any) -> Any:
    """Reduces a type to its plain kind: `Annotated[int, …] | None` is an int."""
    if get_origin(hint) in (Annotated, tuple, dict) or not get_args(hint):
        return _plain(get_args(hint)[0]) if get_origin(hint) is Annotated else get_origin(hint) or hint
    return _plain(get_args(hint)[0])


def _checks(hint: Any) -> list[Any]:
    """The checks on a value itself, not those on its items."""
    if get_origin(hint) is Annotated:
        return list(get_args(hint)[1:])
    optional = type(None) in get_args(hint)
    return _checks(get_args(hint)[0]) if optional else []


TABLES = {place or "teal.toml": (kind, schema) for kind, schema, place in _tables()}
KEYS = {key.place: key for key in _keys()}


@pytest.mark.parametrize("place", list(TABLES))
def test_schema_table_has_the_same_keys_and_required_keys(place: str) -> None:
    kind, schema = TABLES[place]
    keys = [key for key in KEYS.values() if key.field in dataclasses.fields(kind)]
    assert list(schema["properties"]) == [field.name for field in dataclasses.fields(kind)] or place == "teal.toml"
    assert set(schema["properties"]) == {field.name for field in dataclasses.fields(kind)}
    assert set(schema.get("required", [])) == {key.field.name for key in keys if key.default is NO_DEFAULT}
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("place", list(KEYS))
def test_schema_key_has_the_same_kind_and_default_and_a_description(place: str) -> None:
    key = KEYS[place]
    plain = _plain(key.hint)
    assert key.schema["type"] == ("object" if dataclasses.is_dataclass(plain) else KINDS[plain])
    assert key.schema["description"].endswith(".")
    default = key.schema.get("default", NO_DEFAULT)
    known = list(key.default) if isinstance(key.default, tuple) else key.default
    if known in (NO_DEFAULT, None) or dataclasses.is_dataclass(known):
        assert default is NO_DEFAULT
    else:
        assert (default, isinstance(default, bool)) == (known, isinstance(known, bool))


@pytest.mark.parametrize("place", [place for place, key in KEYS.items() if _plain(key.hint) in (int, float)])
def test_schema_number_has_the_same_limits(place: str) -> None:
    key = KEYS[place]
    low, high = key.schema["minimum"], key.schema["maximum"]
    (check,) = _checks(key.hint)
    assert [check(value) is None for value in (low, high, low - 0.01, high + 1)] == [True, True, False, False]


@pytest.mark.parametrize("path", [REPO / "examples/go/teal.toml"], ids=lambda path: path.parent.name)
def test_example_teal_toml_is_valid(path: Path) -> None:
    value = tomllib.loads(path.read_text())
    assert complaint("teal", value) is None
    decode(Config, value)


def test_teal_init_writes_a_valid_teal_toml(tmp_path: Path) -> None:
    from harness.world import World

    (tmp_path / "go.mod").write_text("module example.com/shop\n\ngo 1.26\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() {}\n")
    World(tmp_path).teal("init", cwd=tmp_path).ok()
    value = tomllib.loads((tmp_path / "teal.toml").read_text())
    assert complaint("teal", value) is None


@pytest.mark.parametrize("place", list(KEYS))
def test_schema_examples_are_valid(place: str) -> None:
    for example in KEYS[place].schema.get("examples", []):
        value = good_but(place, example)
        assert complaint("teal", value) is None
        decode(Config, value)
