"""The cheap frozen dataclass of Teal behaves like the original, as far as Teal uses it."""

import copy
import dataclasses
from dataclasses import FrozenInstanceError, field, fields, replace

import pytest

from teal_host.wire import values


@values.dataclass(frozen=True)
class Cheap:
    """Three fields."""

    name: str
    size: int = 3
    tags: "tuple[str, ...]" = field(default_factory=tuple)
    secret: str = field(default="s3cr3t", repr=False)


@dataclasses.dataclass(frozen=True)
class Real:
    name: str
    size: int = 3
    tags: "tuple[str, ...]" = field(default_factory=tuple)
    secret: str = field(default="s3cr3t", repr=False)


@pytest.mark.parametrize("kind", [Cheap, Real])
def test_dataclass_is_a_value(kind: type[Cheap]) -> None:
    value = kind("a", tags=("x",))
    assert (value.name, value.size, value.tags) == ("a", 3, ("x",))
    assert value == kind("a", 3, ("x",)) and value != kind("b")
    assert len({value, kind("a", 3, ("x",)), kind("b")}) == 2
    assert replace(value, size=4) == kind("a", 4, ("x",))
    assert [field.name for field in fields(kind)] == ["name", "size", "tags", "secret"]
    assert repr(value) == f"{kind.__name__}(name='a', size=3, tags=('x',))"
    assert copy.deepcopy(value) == value
    assert dataclasses.asdict(value) == {"name": "a", "size": 3, "tags": ("x",), "secret": "s3cr3t"}


@pytest.mark.parametrize("kind", [Cheap, Real])
def test_dataclass_refuses_changes_and_wrong_arguments(kind: type[Cheap]) -> None:
    value = kind("a")
    with pytest.raises(FrozenInstanceError):
        value.name = "b"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del value.name
    wrong: list[tuple[tuple[object, ...], dict[str, object]]] = [
        ((), {}),
        (("a", 1, (), "", 2), {}),
        (("a",), {"name": "b"}),
        (("a",), {"other": 1}),
        ((), {"size": 1}),
    ]
    for given, named in wrong:
        with pytest.raises(TypeError):
            kind(*given, **named)  # type: ignore[arg-type]


def test_dataclass_instances_do_not_share_what_a_factory_makes() -> None:
    @values.dataclass(frozen=True)
    class Bag:
        inside: "dict[str, int]" = field(default_factory=dict)

    assert Bag().inside is not Bag().inside
