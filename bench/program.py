"""The program that the benches deploy: the Go example, which is 8 MB of real code, and its one-line changes."""

import os
import subprocess
from pathlib import Path

from bench.link import REPO
from bench.requirements import path_with_go

_SOURCE = REPO / "examples/go"
_LINE = '\tversion = "v1"'
_BUILD = ("go", "build", "-trimpath", "-ldflags=-s -w", "-o")


class Program:
    """Builds versions that differ in one line: the text that `/version` returns."""

    def __init__(self, work: Path) -> None:
        self._work = work

    def version(self, name: str, *changes: tuple[str, str]) -> Path:
        """The file of that version, built once. Each change replaces one text of the source by another."""
        built = self._work / f"built/{name}/app"
        if not built.exists():
            source = self._work / "source"
            (source / "cmd").mkdir(parents=True, exist_ok=True)
            (source / "go.mod").write_text((_SOURCE / "go.mod").read_text())
            text = (_SOURCE / "cmd/main.go").read_text()
            for before, after in ((_LINE, f'\tversion = "{name}"'), *changes):
                assert before in text
                text = text.replace(before, after, 1)
            (source / "cmd/main.go").write_text(text)
            env = {
                **os.environ,
                "PATH": path_with_go(),
                "CGO_ENABLED": "0",
                "GOOS": "linux",
                "GOFLAGS": "-buildvcs=false",
            }
            subprocess.run([*_BUILD, str(built), "./cmd"], cwd=source, env=env, check=True)
        return built
