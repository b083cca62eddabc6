"""The only place that asks git, so that a repository runs nothing on this machine: it can come from anybody.

The configuration of a repository can name programs, and `git status` runs some of them: a file system monitor, hooks,
the filters of changed files, the transport of objects that are missing. So each of them is switched off here.
"""

import os
from pathlib import Path

from teal.ground import run

_OFF = (
    *("core.fsmonitor=false", "core.hooksPath=/dev/null", "safe.bareRepository=explicit"),
    *("core.pager=cat", "core.sshCommand=false", "core.gitProxy=false", "core.askPass=false", "credential.helper="),
    *("diff.external=", "gpg.program=false", "protocol.allow=never", "submodule.recurse=false"),
)
_PROGRAMS_OF_A_FILTER = (".clean", ".smudge", ".process")
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0",  # the index stays as it is, and no hook hears of it
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
}


def commit(directory: Path) -> str:
    """The commit of the repository around the directory; empty where there is none."""
    return _output(directory, (), "rev-parse", "--short=12", "HEAD") or ""


def has_changes(directory: Path) -> bool:
    """Does a tracked file differ from the commit? True also when only a filter with a strange name could say so.

    Every filter is switched off, those of the user too: the repository configures what git-lfs runs. So a filtered file
    whose time has changed counts as changed. What is inside a submodule is not asked for.
    """
    names = (_output(directory, (), "config", "--list", "--name-only", "-z") or "").split("\0")
    filters = sorted({name for name in names if name.startswith("filter.")})
    if any("=" in name for name in filters):  # then git would understand `-c` in another way
        return True
    off = [f"{name}={'false' if name.endswith('.required') else ''}" for name in filters if _is_dangerous(name)]
    return bool(_output(directory, off, "status", "--porcelain", "--untracked-files=no", "--ignore-submodules=dirty"))


def _is_dangerous(name: str) -> bool:
    return name.endswith((*_PROGRAMS_OF_A_FILTER, ".required"))


def _output(directory: Path, off: "tuple[str, ...] | list[str]", *arguments: str) -> str | None:
    switched_off = [word for setting in (*_OFF, *off) for word in ("-c", setting)]
    argv = ["git", "--no-pager", *switched_off, "-C", str(directory), *arguments]
    return run.read_output(argv, Path("/"), _environment())


def _environment() -> dict[str, str]:
    """The user's, without what steers git, and without a PATH that leads into the current directory."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    folders = [folder for folder in os.get_exec_path() if folder.startswith("/")]
    return {**others, "PATH": os.pathsep.join(folders), **_ENVIRONMENT}
