"""What a program gets: every value that the grammar allows arrives byte for byte, under its own name."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.world import REPO, App
from teal_host.ground import run
from teal_host.ground.run import Program
from teal_host.wire import grammar
from teal_host.wire.app import Run
from teal_host.wire.typed import Mistakes, decode

DUMP = "import os, sys; sys.stdout.write(ascii((dict(os.environb), [os.fsencode(one) for one in sys.argv[1:]])))"
ODD = [
    "",
    " ",
    "\n",
    "\r\n",
    "\t",
    "a=b=c",
    "$HOME ${HOME} `id` $(id)",
    "'\"\\",
    "\x01\x1b[31m\x7f",
    "é€😀",
    "\u2028",
    "%s%n",
]
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
TEXTS = st.text(st.characters(), max_size=40) | st.sampled_from([*ODD, "x" * 32_768, "😀" * 8_192])


def handed_over(folder: Path, argv: list[str], env: dict[str, str]) -> tuple[dict[bytes, bytes], list[bytes]]:
    """The environment of a program that Teal's way of starting programs has started."""
    log = folder / "log"
    log.unlink(missing_ok=True)
    program = run.spawn(Program([sys.executable, "-I", "-S", "-c", DUMP, *argv], env, folder, log))
    assert program.wait(60) == 0, log.read_text()
    env_ = ast.literal_eval(log.read_text())
    assert isinstance(env_, tuple)
    return env_


@given(st.dictionaries(NAMES, TEXTS, max_size=8), st.lists(TEXTS, max_size=4))
@settings(max_examples=40)
def test_environment_and_arguments_reach_a_program_byte_by_byte(
    tmp_path: Path, env: dict[str, str], argv: list[str]
) -> None:
    good = {k: v for k, v in env.items() if not grammar.env_name(k) and not grammar.env_value(v)}
    words = [argument for argument in argv if grammar.argument(argument) is None]
    env_, arguments = handed_over(tmp_path, words, good)
    assert {name: value for name, value in env_.items() if name != b"LC_CTYPE"} == {
        name.encode(): value.encode() for name, value in good.items() if name != "LC_CTYPE"
    }
    assert arguments == [word.encode() for word in words]


@pytest.mark.parametrize(
    "value",
    ["x" * 32_768, "😀" * 8_192, "é" * 16_384, "\n" * 32_768, *ODD],
    ids=lambda value: f"{len(value)} of {value[:4]!a}",
)
def test_environment_value_reaches_a_program_when_it_is_largest_or_odd(value: str, tmp_path: Path) -> None:
    assert grammar.env_value(value) is None
    env, _ = handed_over(tmp_path, [], {"A" * 128: value})
    assert env[b"A" * 128] == value.encode()


@pytest.mark.parametrize("value", ["a\0b", "\ud800", "x" * 32_769, "😀" * 8_193], ids=["NUL", "half", "long", "wide"])
def test_environment_value_is_refused_when_a_program_cannot_receive_it(value: str) -> None:
    with pytest.raises(Mistakes):
        decode(Run, {"command": ["./app"], "env": {"A": value}})


def most(**more: Any) -> Run:
    """The largest allowed environment, in as many pieces as possible."""
    env = {f"A{number:02}": "😀" * 8_000 for number in range(31)}
    return decode(Run, {"command": ["./app"], "env": env, **more})


def test_environment_reaches_a_program_at_the_largest_allowed_total(tmp_path: Path) -> None:
    env, _ = handed_over(tmp_path, [], dict(most().env))
    assert len(env) >= 31


@pytest.mark.parametrize("more", [{"command": ["./app", *["y" * 8_000] * 2]}, {"command": ["x" * 8_000] * 2}])
def test_run_is_refused_when_command_and_environment_are_together_too_large(more: dict[str, Any]) -> None:
    with pytest.raises(Mistakes, match="together more than 1,000,000 bytes"):
        most(**more)


def test_program_gets_the_configured_environment_and_what_teal_sets(app: App) -> None:
    odd = "".join(value for value in ODD if value.isascii() and "\x7f" not in value)  # the same in JSON and TOML
    env = {"EMPTY": "", "ODD": odd, "UNICODE": "é€", "LARGE": "y" * 32_768, "PATH": "/usr/bin:/bin"}
    app.config(run={"env": env, "data": True})
    release = app.deploy(LC_ALL="C").ok().result["release"]
    env_ = app.get("/env")
    assert {name: env_[name] for name in env} == env
    color = {"PORT": str(app.ports[1]), "HOST": "127.0.0.1", "COLOR": "blue", "RELEASE": release}
    assert {name: env_[name] for name in color} == color
    assert env_["DATA_DIR"] == str(app.world.root / "var/lib/shop")
    assert "PYTHONPATH" not in env_


@pytest.mark.parametrize("language", ["C", "POSIX", "C.UTF-8", "nonsense"])
def test_environment_reaches_a_program_under_any_locale(language: str, tmp_path: Path) -> None:
    spawned = (
        "import pathlib, sys; sys.path.insert(0, sys.argv[1]); from teal_host.ground import run;"
        "env = {'A': 'é😀', 'B': '\\x80'}; folder = pathlib.Path(sys.argv[2]);"
        "sys.exit(run.spawn(run.Program(sys.argv[3:], env, folder, folder / 'log')).wait(30))"
    )
    dump = [sys.executable, "-I", "-S", "-c", DUMP]
    argv = [sys.executable, "-I", "-S", "-c", spawned, str(REPO / "src"), str(tmp_path), *dump]
    subprocess.run(argv, env={"LC_ALL": language, "PATH": os.environ["PATH"]}, check=True, timeout=120)
    env, _ = ast.literal_eval((tmp_path / "log").read_text())
    assert (env[b"A"], env[b"B"]) == ("é😀".encode(), "\x80".encode())
