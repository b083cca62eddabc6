"""Every hint that Teal can print is collected from the code, can be typed, and is walked by a test.

A test walks hints with `@pytest.mark.hint(...)`, and names each as the rule collects it: `{}` is what is known only at
run time. It makes the situation, checks that Teal prints the hint, does exactly what the hint says, and checks that all
is well.
"""

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from hints.collect import hints
from teal.cli import COMMANDS, teal
from teal.ui.base import Manner

REPO = Path(__file__).parents[2]
HINTS = hints()
TEAL = re.compile(rf"\bteal ((?:{'|'.join(COMMANDS)})\b[^;,()]*)")
PROSE = re.compile(r":\s.*|\s(can be|shows|says|restores|tells|starts|writes|again|prompts|to change|build it)\b.*")


def _walked() -> set[str]:
    """What the marks in tests/ name."""
    walked = set()
    for path in (REPO / "tests").rglob("*.py"):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if "mark.hint(" in text else ():
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.hint"):
                walked |= {ast.literal_eval(argument) for argument in node.args}
    return walked


def test_every_hint_is_walked_by_a_test() -> None:
    walked = _walked()
    print(f"\n{len(walked & set(HINTS))} of {len(HINTS)} hints walked")
    assert {hint.text: hint.place for hint in HINTS.values() if hint.text not in walked} == {}


def test_walks_name_hints_that_exist() -> None:
    assert sorted(_walked() - set(HINTS)) == []


@pytest.mark.parametrize("text", [text for text in HINTS if TEAL.search(text)])
def test_commands_of_a_hint_can_be_typed(text: str) -> None:
    for typed in TEAL.findall(text):
        words = shlex.split(
            PROSE.sub("", typed.replace("--color {}", "--color blue").replace("{}", "7").split(" then ")[0])
        )
        check(teal, words)


def check(command: click.Command, words: list[str]) -> None:
    """Raises click's error for a command, option or argument that does not exist."""
    if isinstance(command, click.Group):
        inner = command.get_command(click.Context(command), words[0])
        assert inner, words
        check(inner, words[1:])
    else:
        command.make_context("teal", words)


def test_hint_repeats_the_config_that_the_command_was_given() -> None:
    typed = Manner(config="a b.toml").typed
    assert typed("teal setup, then teal deploy") == "teal -C 'a b.toml' setup, then teal -C 'a b.toml' deploy"
    assert typed("teal env list") == "teal -C 'a b.toml' env list"
    assert typed(typed("teal status")) == typed("teal status")
    for text in ("teal init -C other.toml", "teal env has changed", "pip install 'teal-deploy[local]'"):
        assert typed(text) == text
    assert Manner().typed("teal setup") == "teal setup"


def test_every_command_that_takes_a_config_is_typed_with_it() -> None:
    others = {"demo", "completion"}
    for name in set(COMMANDS) - others:
        assert Manner(config="x").typed(f"teal {name}") == f"teal -C x {name}"
