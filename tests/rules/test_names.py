"""Names say what a thing is: no pronoun, no empty word, and nothing that reads as its opposite."""

import ast

import pytest

from harness.world import REPO
from rules.source import MODULES, Module

PRONOUNS = {"told", "says", "said", "found", "there", "left", "one", "ones", "ours", "kept", "it", "its", "that"}
QUESTIONS = {"who", "what"}  # of an origin and of a finding, by contract
PRONOUNS |= QUESTIONS
EMPTY = {"look", "thing", "things", "stuff", "do", "place"}
EMPTY |= {"utils", "util", "helpers", "helper", "common", "manager", "misc", "shared", "base_utils"}
BANNED = PRONOUNS | EMPTY
OPPOSITE = {"refuse", "refuses"}  # `refuse(x)` reads as the opposite of a check, which is called check_* or ensure_*

# Names of the server side that are still to be renamed. The list only shrinks: a name that is gone must leave it.
EXCEPTIONS = {
    ("teal_host.ground.lock", "shared"),
    ("teal_host.preparations.unit", "do"),
    ("teal_host.wire.values", "_Shared"),
}


def _names(module: Module) -> set[str]:
    """The module itself, its classes and its functions, wherever they are defined."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {module.name.rpartition(".")[2], *(node.name for node in ast.walk(module.tree) if isinstance(node, kinds))}


def _is_banned(name: str) -> bool:
    bare = name.strip("_").lower()
    return bare in BANNED or bare.split("_", maxsplit=1)[0] in OPPOSITE


@pytest.mark.parametrize("module", MODULES.values(), ids=list(MODULES))
def test_names_are_neither_pronouns_nor_empty_words(module: Module) -> None:
    banned = {(module.name, name) for name in _names(module) if _is_banned(name)}
    assert not banned - EXCEPTIONS, "house rule: name the thing, not a pronoun; a check is check_* or ensure_*"


def _fields(module: Module) -> set[str]:
    """The fields of the module's classes."""
    classes = (node for node in ast.walk(module.tree) if isinstance(node, ast.ClassDef))
    fields = (line for node in classes for line in node.body if isinstance(line, ast.AnnAssign))
    return {field.target.id for field in fields if isinstance(field.target, ast.Name)}


@pytest.mark.parametrize("module", MODULES.values(), ids=list(MODULES))
def test_fields_are_no_pronouns(module: Module) -> None:
    assert not _fields(module) & (PRONOUNS - QUESTIONS), "house rule: name the thing, not a pronoun"


def _variables(tree: ast.Module) -> set[str]:
    """Variables and parameters, wherever they are bound."""
    variables = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return variables | {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}


@pytest.mark.parametrize("folder", ["src", "tools", "bench", "tests"])
def test_variables_are_no_pronouns(folder: str) -> None:
    banned = {
        (str(path.relative_to(REPO)), name)
        for path in (REPO / folder).rglob("*")
        if path.suffix == ".py" or (path.is_file() and path.read_bytes().startswith(b"#!/usr/bin/env python3"))
        for name in _variables(ast.parse(path.read_text()))
        if name.strip("_") in PRONOUNS - QUESTIONS
    }
    assert banned == set(), "house rule: name the thing, not a pronoun"


def test_no_exception_is_stale() -> None:
    used = {(module.name, name) for module in MODULES.values() for name in _names(module) if _is_banned(name)}
    assert used >= EXCEPTIONS, "take these out of EXCEPTIONS"


def test_class_name_stands_for_one_thing() -> None:
    """A private class, such as `_Upload`, is the business of its module."""
    names = [
        node.name
        for module in MODULES.values()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert {name for name in names if names.count(name) > 1} == set()
