"""What the tools for a developer print can be typed."""

import importlib.util
import shlex
import tomllib
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from harness.world import REPO
from teal import transports


def _tool(name: str) -> ModuleType:
    loader = SourceFileLoader(name, str(REPO / "tools" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader) or pytest.fail(name))
    loader.exec_module(module)
    return module


def test_booted_server_is_reached_with_the_lines_that_its_tool_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(REPO / "tests"))
    config = tmp_path / "ssh_config"
    config.write_text("")
    login, shell, toml = _tool("server").ways_in(config, "debian13-0")
    monkeypatch.setenv(*shlex.split(shell.strip().removeprefix("export "))[0].split("=", 1))
    assert transports.login(tomllib.loads(toml)["target"], (), False) == [*shlex.split(login)[:3], "--", "debian13-0"]
