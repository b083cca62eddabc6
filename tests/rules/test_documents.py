"""The documents say what the program can do, and nothing else."""

import dataclasses
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import click
import pytest
from tools.documents import documents

from teal import __version__
from teal.cli import COMMANDS, teal
from teal.config.model import Config

REPO = Path(__file__).parents[2]
REFERENCE = REPO / "docs/reference"


def _commands() -> dict[str, click.Command]:
    context = click.Context(teal)
    commands = {name: teal.get_command(context, name) for name in COMMANDS}
    return {name: command for name, command in commands.items() if command is not None}


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_and_option_is_documented(name: str) -> None:
    text = (REFERENCE / "commands.md").read_text()
    assert f"## teal {name}" in text
    section = text.split(f"## teal {name}")[1].split("\n## ")[0]
    everywhere = text.split("## Everywhere")[1].split("\n## ")[0]
    command = _commands()[name]
    inner = command.commands.values() if isinstance(command, click.Group) else ()
    assert all(f"`teal {name} {subcommand.name}" in section for subcommand in inner)
    for parameter in [*command.params, *(parameter for subcommand in inner for parameter in subcommand.params)]:
        for option in parameter.opts:
            if option.startswith("--"):
                assert option in section or option in everywhere, f"teal {name} {option}"


def _keys(kind: Any, place: str = "") -> list[str]:
    keys = []
    for field in dataclasses.fields(kind):
        hint = get_type_hints(kind)[field.name]
        inner = next((part for part in (hint, *get_args(hint)) if dataclasses.is_dataclass(part)), None)
        here = f"{place}{field.name}"
        keys += _keys(inner, f"{here}.") if inner and not field.name.startswith("ports") else [here]
    return keys


@pytest.mark.parametrize("key", _keys(Config))
def test_every_key_is_documented(key: str) -> None:
    assert f"`{key}`" in (REFERENCE / "teal-toml.md").read_text()


def test_documented_keys_are_exactly_those_of_the_config() -> None:
    rows = re.findall(r"^\| `([a-z0-9_.]+)`", (REFERENCE / "teal-toml.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(_keys(Config))


def test_changelog_begins_with_this_version() -> None:
    first = re.search(r"^## (\S+)", (REPO / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert first is not None
    assert first[1] == __version__


@pytest.mark.parametrize("name", [str(path.relative_to(REPO)) for path in documents(REPO)])
def test_paths_that_documents_name_exist(name: str) -> None:
    text = (REPO / name).read_text()
    for path in re.findall(r"`((?:src|tests|docs|script|tools|examples|schemas|bench)/[\w./-]+)`", text):
        assert (REPO / path).exists(), f"{name} names {path}"


def _tree_of_architecture() -> dict[str, set[str]]:
    """The words behind each folder of the tree in ARCHITECTURE.md, by the folder's path below src."""
    block = (REPO / "ARCHITECTURE.md").read_text().split("## The tree")[1].split("```")[1]
    rows: dict[str, set[str]] = {}
    side = folder = ""
    for line in block.strip().splitlines():
        named = re.match(r" *([\w/]+)/(?: |$)", line)
        if named and line.startswith("src/"):
            side = folder = named[1].removeprefix("src/")
        elif named:
            folder = f"{side}/{named[1]}"
        rows.setdefault(folder, set()).update(re.findall(r"\w+", line.split("/ ", 1)[-1]))
    return rows


def test_architecture_names_every_module_in_its_folder() -> None:
    rows = _tree_of_architecture()
    for path in (REPO / "src").rglob("*.py"):
        folder = str(path.parent.relative_to(REPO / "src"))
        is_one_of_a_kind = folder in ("teal", "teal/cli") or folder.startswith("teal/scaffold")
        if path.name != "__init__.py" and not is_one_of_a_kind:
            assert path.stem in rows.get(folder, ()), f"the tree of ARCHITECTURE.md has no {path.stem} in {folder}"


def test_architecture_is_read_in_one_sitting() -> None:
    assert len((REPO / "ARCHITECTURE.md").read_text().splitlines()) <= 150
