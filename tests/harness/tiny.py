"""tests/apps/tiny.c as one static program, for tests on real servers."""

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

from harness.world import App, World

SOURCE = Path(__file__).parents[1] / "apps/tiny.c"


@functools.cache
def _compiled() -> bytes | str:
    """The program, or the reason why it cannot be compiled."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        return "no C compiler: apt-get install -y gcc libc6-dev"
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder, "tiny")
        argv = [
            compiler,
            "-O2",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-static",
            "-s",
            "-pthread",
            "-o",
            str(made),
            str(SOURCE),
        ]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
        return made.read_bytes() if done.returncode == 0 else f"{compiler} cannot link statically: {done.stderr[-300:]}"


def tiny() -> bytes:
    """The program. Skips the test if it cannot be compiled."""
    made = _compiled()
    if isinstance(made, str):
        pytest.skip(made)
    return made


def write_tiny(app: App, version: str) -> None:
    """Writes a version: the same program with other bytes at its end, which the kernel does not load."""
    path = app.directory / "program"
    path.write_bytes(tiny() + version.encode())
    path.chmod(0o755)


def tiny_app(world: World, name: str, domains: list[str], **config: Any) -> App:
    """An app that runs the program and calls itself `name` in its answers."""
    tiny()
    app = world.app(name)
    sections: dict[str, dict[str, Any]] = {
        "server": {"domains": domains} if domains else {},
        "run": {"command": ["./program", "{port}", name]},
        "verify": {"path": "/", "json": {"app": name, "color": "{color}", "release": "{release}"}},
    }
    app.config(**{key: {**sections.get(key, {}), **config.get(key, {})} for key in sections | config})
    write_tiny(app, "v1")
    return app
