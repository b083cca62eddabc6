"""A frozen dataclass that costs little to define: there are a hundred, and every command waits for their definition.

`dataclasses` compiles six methods for each class, half a millisecond of a processor. Here all classes share theirs, so
defining one is reading its fields; making a value costs a microsecond more. For the type checker it is the original.
"""

import dataclasses
from typing import TYPE_CHECKING, Any, Callable, Dict, Tuple, Type

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - said so that others may import it from here
else:

    def dataclass(frozen: bool) -> Callable[[Type[Any]], Type[Any]]:
        """`@dataclass(frozen=True)`: equal by its fields, hashable, never changed."""
        assert frozen
        return _made


def _made(kind: Type[Any]) -> Type[Any]:
    if not kind.__doc__:
        kind.__doc__ = kind.__name__  # else `dataclasses` finds out the signature, which is slow
    made = dataclasses.dataclass(init=False, repr=False, eq=False)(kind)
    fields = dataclasses.fields(made)
    made._names = tuple(field.name for field in fields)
    made._shown = tuple(field.name for field in fields if field.repr)  # a secret is not
    assert all(field.init and field.compare and field.hash is None for field in fields), kind
    made._defaults = {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
    factories = ((field.name, field.default_factory) for field in fields)
    made._factories = tuple((name, make) for name, make in factories if make is not dataclasses.MISSING)
    for name in ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"):
        setattr(made, name, _Shared.__dict__[name])
    return made


class _Shared:
    """The methods that every such class gets."""

    _names: Tuple[str, ...]
    _shown: Tuple[str, ...]
    _defaults: Dict[str, Any]
    _factories: Tuple[Tuple[str, Callable[[], Any]], ...]

    def __init__(self, *given: Any, **named: Any) -> None:
        names = self._names
        values = dict(zip(names, given))
        if len(given) > len(names) or not named.keys().isdisjoint(values):
            raise TypeError(f"{type(self).__name__} takes each of {', '.join(names)} once")
        values.update(named)
        for name, make in self._factories:
            if name not in values:
                values[name] = make()
        whole = {**self._defaults, **values}
        if len(whole) != len(names) or any(name not in whole for name in names):
            raise TypeError(f"{type(self).__name__} takes {', '.join(names)}; it was given {', '.join(values)}")
        self.__dict__.update(whole)

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{name}={self.__dict__[name]!r}' for name in self._shown)})"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and _content(self) == _content(other)

    def __hash__(self) -> int:
        return hash(_content(self))

    def __setattr__(self, name: str, value: Any) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _content(value: Any) -> Tuple[Any, ...]:
    return tuple(value.__dict__[name] for name in value._names)
