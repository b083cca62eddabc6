"""The server side runs on Python 3.9, the oldest that a supported Debian or Ubuntu has."""

import ast

import pytest

from rules.source import HOST, Module

TOO_NEW = {"tomllib", "graphlib.pairwise", "itertools.batched"}


@pytest.mark.parametrize("module", HOST.values(), ids=list(HOST))
def test_server_side_module_parses_as_python_3_9(module: Module) -> None:
    ast.parse(module.text, feature_version=(3, 9))


@pytest.mark.parametrize("module", HOST.values(), ids=list(HOST))
def test_server_side_module_has_no_annotation_that_python_3_9_cannot_read(module: Module) -> None:
    """`X | Y` between types is an error there when the annotation is read, which the decoder does."""
    assert not module.imports & TOO_NEW
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation is not None:
            unions = [part for part in ast.walk(node.annotation) if isinstance(part, ast.BinOp)]
            assert not unions, f"{module.name}:{node.annotation.lineno}"


@pytest.mark.parametrize("module", HOST.values(), ids=list(HOST))
def test_dataclasses_use_only_arguments_of_python_3_9(module: Module) -> None:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "dataclass":
            assert {keyword.arg for keyword in node.keywords} <= {"frozen", "order", "eq"}
