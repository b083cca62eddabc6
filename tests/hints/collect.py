"""Collects every hint that Teal can print from the code.

A hint is the value of an argument, attribute or field called `hint`. `{}` stands for a part that is known only at run
time.
"""

import ast
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rules.source import MODULES, Module

_Texts = list[str]
_Function = ast.FunctionDef | ast.AsyncFunctionDef


class CannotCollect(Exception):
    """The rule cannot read how the code makes a hint."""


@dataclass(frozen=True)
class Hint:
    text: str
    place: str


def hints() -> dict[str, Hint]:
    """All hints, each text once."""
    program = _Program()
    hints_by_text: dict[str, Hint] = {}
    for module in MODULES.values():
        for node, scope in _with_scopes(module.tree):
            for value in program.hints_in(node, module):
                for text in program.texts(value, _Scope(module, scope, {})):
                    if text:
                        hints_by_text.setdefault(text, Hint(text, f"{module.path.name}:{value.lineno}"))
    return hints_by_text


@dataclass(frozen=True)
class _Scope:
    """The place of an expression, and the parameters of its function, if they are known."""

    module: Module
    function: _Function | None
    given: Mapping[str, _Texts]


class _Program:
    def __init__(self) -> None:
        self._functions: dict[str, tuple[Module, _Function]] = {}
        self._positions: dict[str, int] = {"Hints": -1, "__init__": 2}  # -1: every argument is a hint
        # classes of one module that take no hint, although other classes of the same name do
        self._without: set[tuple[str, str]] = set()
        classes: dict[str, ast.ClassDef] = {}
        homes: dict[str, Module] = {}
        for module in MODULES.values():
            for node in ast.walk(module.tree):
                if isinstance(node, ast.FunctionDef):
                    name = _full(node.name, module)
                    self._functions.setdefault(name, (module, node))
                    names = [arg.arg for arg in node.args.args]
                    if "hint" in names and node.name != "__init__":
                        self._positions[name] = names.index("hint")
                elif isinstance(node, ast.ClassDef):
                    classes[node.name] = node
                    homes[node.name] = module
                    if any(
                        isinstance(part, ast.FunctionDef)
                        and part.name == "__init__"
                        and "hint" not in [arg.arg for arg in part.args.args]
                        for part in node.body
                    ):
                        self._without.add((module.name, node.name))
        for name in classes:
            position = _position_in_class(name, classes)
            if position is not None:
                self._positions[_full(name, homes[name])] = position

    def hints_in(self, node: ast.AST, module: Module) -> Iterator[ast.expr]:
        """The expressions inside this node that are hints."""
        if isinstance(node, ast.Call):
            is_without = (module.name, _name(node.func)) in self._without
            position = None if is_without else self._positions.get(_full(_name(node.func), module))
            for number, argument in enumerate(node.args):
                if position in (number, -1):
                    yield argument
            for keyword in node.keywords:
                if keyword.arg == "hint" or (position == -1 and keyword.arg):
                    yield keyword.value
        if (
            isinstance(node, ast.Assign)
            and _name(node.targets[0]) == "hint"
            and not isinstance(node.targets[0], ast.Name)
        ):
            yield node.value

    def texts(self, value: ast.expr, scope: _Scope) -> _Texts:  # noqa: PLR0911
        """Every text that the expression can have."""
        match value:
            case ast.Constant():
                return [str(value.value or "")]
            case ast.JoinedStr():
                return _joined([self._part(part, scope) for part in value.values])
            case ast.BinOp(op=ast.Add()):
                return _joined([self.texts(value.left, scope), self.texts(value.right, scope)])
            case ast.IfExp():
                return [*self.texts(value.body, scope), *self.texts(value.orelse, scope)]
            case ast.BoolOp():
                return [text for part in value.values for text in self.texts(part, scope)]
            case ast.Name():
                return self._of_name(value, _home(value.id, scope))
            case ast.Attribute(attr="hint" | "not_served" | "memory"):
                return []  # the hint is collected where the object with this attribute is made
            case ast.Call():
                return self._of_call(value, scope)
        raise CannotCollect(f"{scope.module.path}:{value.lineno}: a hint that the rule cannot read")

    def _part(self, part: ast.expr, scope: _Scope) -> _Texts:
        if isinstance(part, ast.Constant):
            return [str(part.value)]
        assert isinstance(part, ast.FormattedValue)
        try:
            return (
                self._of_name(part.value, scope) if isinstance(part.value, ast.Name) else self.texts(part.value, scope)
            )
        except CannotCollect:
            return ["{}"]

    def _of_name(self, value: ast.Name, scope: _Scope) -> _Texts:
        if value.id in scope.given:
            return scope.given[value.id]
        if scope.function and value.id in [arg.arg for arg in scope.function.args.args]:
            if value.id == "hint":
                return []  # the callers have the texts
            raise CannotCollect(f"{scope.module.path}:{value.lineno}: {value.id}")
        home = _home_of(value.id, scope.module)
        for where in (scope.function, home.tree):
            values = list(_assigned(value.id, where)) if where else []
            if values:
                inner = replace(scope, module=home, given={**scope.given, value.id: []})  # `hint = hint or other`
                return [text for assigned in values for text in self.texts(assigned, inner)]
        raise CannotCollect(f"{scope.module.path}:{value.lineno}: {value.id}")

    def _of_call(self, call: ast.Call, scope: _Scope) -> _Texts:
        name = _full(_name(call.func), scope.module)
        if name == "format" and isinstance(call.func, ast.Attribute):
            return self.texts(call.func.value, scope)
        if name == "get" and isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Dict):
            return [text for value in call.func.value.values for text in self.texts(value, scope)]
        if name == "typed":
            return self.texts(call.args[0], scope)
        if name not in self._functions:
            raise CannotCollect(f"{scope.module.path}:{call.lineno}: {name}()")
        module, function = self._functions[name]
        given = {}
        for parameter, argument in zip(function.args.args, call.args, strict=False):
            try:
                given[parameter.arg] = self.texts(argument, scope)
            except CannotCollect:
                given[parameter.arg] = ["{}"]
        returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]
        if not returned:
            raise CannotCollect(f"{scope.module.path}:{call.lineno}: {name}()")
        return [text for value in returned for text in self.texts(value, _Scope(module, function, given))]


def _home(name: str, scope: _Scope) -> _Scope:
    """Where a constant has its value: the module that this one imports the constant from."""
    for node in scope.module.tree.body:
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return _Scope(MODULES[str(node.module)], None, {})
    return scope


def _joined(parts: Sequence[_Texts]) -> _Texts:
    return ["".join(words) for words in itertools.product(*parts)]


def _position_in_class(name: str, classes: Mapping[str, ast.ClassDef]) -> int | None:
    """The position of the hint in the arguments of the class, by its own `__init__` or fields, or those of its base."""
    for node in classes[name].body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            names = [arg.arg for arg in node.args.args[1:]]
            return names.index("hint") if "hint" in names else None
    fields = [
        node.target.id
        for node in classes[name].body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    ]
    if "hint" in fields:
        return fields.index("hint")
    parents = [_name(base) for base in classes[name].bases]
    positions = [_position_in_class(parent, classes) for parent in parents if parent in classes]
    return positions[0] if positions else None


def _with_scopes(tree: ast.AST, scope: _Function | None = None) -> Iterator[tuple[ast.AST, _Function | None]]:
    for node in ast.iter_child_nodes(tree):
        inner = node if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else scope
        yield node, scope
        yield from _with_scopes(node, inner)


def _home_of(name: str, module: Module) -> Module:
    """The module that gives the name its value: another one, if the name is imported."""
    for node in module.tree.body:
        if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
            return MODULES.get(node.module or "", module)
    return module


def _assigned(name: str, where: ast.AST) -> Iterator[ast.expr]:
    """Raises CannotCollect for a name that gets its value together with other names."""
    for node in ast.walk(where):
        several = node.targets[0] if isinstance(node, ast.Assign) else None
        if isinstance(several, ast.Tuple) and name in map(_name, several.elts):
            raise CannotCollect(f"line {several.lineno}: {name} gets its value together with others")
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        if value and any(isinstance(target, ast.Name) and target.id == name for target in targets):
            yield value


def _full(name: str, module: Module) -> str:
    """The full name: a private function belongs to its module."""
    return f"{module.name}.{name}" if name.startswith("_") and not name.endswith("__") else name


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def pattern(text: str) -> re.Pattern[str]:
    """A regular expression that matches the hint as printed."""
    parts = re.split(r"(\{\w*\})", text)
    return re.compile("".join(".*" if number % 2 else re.escape(part) for number, part in enumerate(parts)))
