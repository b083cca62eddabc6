"""How long files and functions may be, and how few hands touch files and start programs."""

import ast
import statistics
from pathlib import Path

import pytest

from rules.source import CLIENT, HOST, MODULES, Module

LONGEST_FILE, LONGEST_FUNCTION, MOST_PARAMETERS = 350, 40, 4
USUAL_FUNCTION, NINE_IN_TEN = 10, 25
BOOTSTRAP_BYTES = 140_000  # sent once, before setup has installed it; 123,000 with the first part of HTTPS

STARTS_PROGRAMS = {"subprocess", "multiprocessing", "pty"}
WRITES_FILES = {
    "write_text", "write_bytes", "mkdir", "makedirs", "unlink", "rename", "replace", "rmdir", "symlink", "symlink_to",
    "rmtree", "chmod", "touch", "link", "hardlink_to", "copytree", "copyfile", "copy", "move", "truncate",
}  # fmt: skip


def _size(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def _parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    arguments = function.args
    names = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return len([argument for argument in names if argument.arg not in ("self", "cls")])


@pytest.mark.parametrize("module", MODULES.values(), ids=list(MODULES))
def test_module_is_not_too_long(module: Module) -> None:
    assert module.text.count("\n") <= LONGEST_FILE


@pytest.mark.parametrize("module", MODULES.values(), ids=list(MODULES))
def test_functions_are_not_too_long_and_take_few_parameters(module: Module) -> None:
    for function in module.functions:
        assert _size(function) <= LONGEST_FUNCTION, f"{function.name}: {_size(function)} lines"
        assert _parameters(function) <= MOST_PARAMETERS, f"{function.name}: {_parameters(function)} parameters"


def test_most_functions_are_short() -> None:
    sizes = sorted(_size(function) for module in MODULES.values() for function in module.functions)
    assert statistics.median(sizes) <= USUAL_FUNCTION
    assert sizes[len(sizes) * 9 // 10] <= NINE_IN_TEN


@pytest.mark.parametrize("module", MODULES.values(), ids=list(MODULES))
def test_only_one_module_on_each_side_starts_programs(module: Module) -> None:
    starters = {
        "teal_host.ground.run",
        "teal.ground.run",
        "teal_host.supervisors.process",
    }  # the last for a type alone
    if module.name not in starters:
        assert not module.imports & STARTS_PROGRAMS
    assert "shell=True" not in module.text
    assert "os.system" not in module.text


@pytest.mark.parametrize("module", HOST.values(), ids=list(HOST))
def test_only_files_writes_on_the_server_side(module: Module) -> None:
    """`trees` is the part that removes whole directories. `release` removes what it could not finish: there is nothing
    to make durable about that.
    """
    if module.name in ("teal_host.ground.files", "teal_host.ground.trees"):
        return
    called = {call.func.attr for call in _calls(module) if isinstance(call.func, ast.Attribute) and not _on_files(call)}
    assert not called & WRITES_FILES - ({"rmtree"} if module.name == "teal_host.steps.release" else set())
    for call in _calls(module):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "open":
            modes = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
            assert all(mode in ("rb", "r") for mode in modes), f"{module.name}:{call.lineno} opens for writing"


def _calls(module: Module) -> list[ast.Call]:
    return [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]


def _on_files(call: ast.Call) -> bool:
    """`files.x(...)`, and text's own methods of the same names."""
    target = call.func.value if isinstance(call.func, ast.Attribute) else None
    if isinstance(target, ast.Name) and target.id in ("files", "dataclasses"):
        return True
    return isinstance(call.func, ast.Attribute) and call.func.attr == "replace"


def test_bootstrap_payload_stays_small() -> None:
    from teal.pipe.bootstrap import payload

    assert len(payload(server=True)) <= BOOTSTRAP_BYTES


def test_module_name_is_never_a_word_that_says_nothing() -> None:
    empty = {"utils", "util", "helpers", "helper", "common", "shared", "misc", "manager", "base_utils"}
    assert not {name.split(".")[-1] for name in MODULES} & empty
    assert not {path.name for path in Path(__file__).parents[1].iterdir()} & empty
    assert CLIENT
