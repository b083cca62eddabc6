"""The lines of README for CI, as they stand there, where $HOME is not the home directory of the password file."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.deploy_keys import KeyedServer
from harness.ssh_access import write_program
from harness.world import REPO


def recipe(address: str) -> str:
    block = re.search(r"```sh\n(# in CI, .*?)```", (REPO / "README.md").read_text(), re.DOTALL)
    assert block
    return block[1].replace("203.0.113.10", address)


def ci_env(keyed: KeyedServer, home: Path) -> dict[str, str]:
    """A container job: another HOME, the real ssh, the command teal, and the secret."""
    programs = home / "bin"
    programs.mkdir(parents=True)
    write_program(programs / "teal", f'#!/bin/sh\nexec {sys.executable} -m teal "$@"\n')
    env = {name: value for name, value in keyed.ci().env.items() if name != "SSH_AUTH_SOCK"}
    secret = keyed.key().read_text().rstrip("\n")
    path = f"{programs}:{os.environ['PATH']}"
    return {**env, "HOME": str(home), "PATH": path, "CI": "true", "DEPLOY_KEY": secret, "TMPDIR": str(home)}


def run(script: str, keyed: KeyedServer, env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    argv = ["bash", "-e", "-c", script]
    return subprocess.run(
        argv, cwd=keyed.app_one.directory, env=env, capture_output=True, text=True, timeout=240, check=False
    )


def test_recipe_of_readme_deploys_where_home_is_elsewhere(keyed: KeyedServer, tmp_path: Path) -> None:
    shutil.copy(keyed.server.directory / "known_hosts", keyed.app_one.directory)
    ended = run(recipe(keyed.server.address), keyed, ci_env(keyed, tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert "is live" in ended.stdout


@pytest.mark.hint(
    "ssh reads {ssh_home}/.ssh and ignores HOME={env_home}: write a configuration with IdentityFile and "
    "UserKnownHostsFile, and set TEAL_SSH_CONFIG to that file"
)
def test_hint_names_the_home_that_ssh_uses_when_the_files_lie_in_another(keyed: KeyedServer, tmp_path: Path) -> None:
    env = ci_env(keyed, tmp_path)
    folder = tmp_path / ".ssh"
    folder.mkdir(mode=0o700)
    shutil.copy(keyed.server.directory / "known_hosts", folder)
    shutil.copy(keyed.key(), folder / "id_ed25519")
    ended = run(f"TEAL_TARGET=ssh://teal@{keyed.server.address} teal status", keyed, env)
    assert ended.returncode == 4, ended.stderr
    assert f"ignores HOME={tmp_path}" in ended.stderr
    names = re.findall(r"a configuration with (\w+) and (\w+), and set (\w+) to that file", ended.stderr)[0]
    config = tmp_path / "config"
    config.write_text(f"{names[0]} {folder / 'id_ed25519'}\n{names[1]} {folder / 'known_hosts'}\n")
    again = run(f"{names[2]}={config} TEAL_TARGET=ssh://teal@{keyed.server.address} teal status", keyed, env)
    assert again.returncode == 0, again.stderr
