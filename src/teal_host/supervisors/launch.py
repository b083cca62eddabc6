"""Become the program of a color: what a systemd unit starts, as the app's user and inside its sandbox.

Setup fixes the unit. Systemd hands over the command and its environment as a credential, from a file of the color. So
nothing that a deploy sends stands in a unit file, and `systemctl show` shows no secret. systemd-cat names the release
in the system's log, then becomes the program. Every start waits for this module, so it imports nothing but `files`.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Dict, List

from teal_host.ground import files
from teal_host.supervisors.base import START_FORMAT

CREDENTIAL = "start"
CANNOT_START = 203  # systemd's own code for the same (EXIT_EXEC)
_STANDBY_OOM_SCORE = 500  # of -1000 to 1000: with the live color, this one goes first
_NOT_FOR_THE_PROGRAM = ("CREDENTIALS_DIRECTORY", "SHELL")


def main(arguments: List[str]) -> int:
    """`arguments`: the link `live` and the color. Returns only when the program cannot be started."""
    try:
        start = _read_start()
        if start.get("format", START_FORMAT) > START_FORMAT:
            sys.stderr.write("teal: a newer Teal wrote start.json; install its server side: teal setup\n")
            return CANNOT_START
        _stand_back(Path(arguments[0]), arguments[1])
        _become(start)
    except (OSError, ValueError, RecursionError) as error:  # also a NUL, or half a surrogate pair, in a word
        sys.stderr.write(f"teal: start.json is damaged ({type(error).__name__}); write it anew: teal deploy\n")
    return CANNOT_START


def _become(start: Dict[str, Any]) -> None:
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and what is ignored is inherited
        signal.signal(number, signal.SIG_DFL)
    env = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_THE_PROGRAM}
    try:
        os.chdir(start["cwd"])
        _check_is_executable(start["argv"][0])
        argv = ["systemd-cat", f"--identifier={start['release']}", "--", *start["argv"]]
        os.execve("/usr/bin/systemd-cat", argv, {**env, **start["env"]})  # noqa: S606
    except OSError as error:
        name = ascii(start["argv"][0])[1:-1]
        sys.stderr.write(f"teal: {name} cannot be started: {error.strerror}\n")


def _read_start() -> Dict[str, Any]:
    """What to start. Keys that this Teal does not know are a newer one's, and are left aside. Raises ValueError."""
    start = json.loads(Path(os.environ["CREDENTIALS_DIRECTORY"], CREDENTIAL).read_text())
    if not isinstance(start, dict) or type(start.get("format", START_FORMAT)) is not int:
        raise ValueError(start)
    if start.get("format", START_FORMAT) <= START_FORMAT and not _is_whole(start):
        raise ValueError(start)
    return start


def _is_whole(start: Dict[str, Any]) -> bool:
    argv, env = start.get("argv"), start.get("env")
    if not isinstance(argv, list) or not argv or not isinstance(env, dict):
        return False
    return all(isinstance(word, str) for word in [start.get("cwd"), start.get("release"), *argv, *env.values()])


def _stand_back(live: Path, color: str) -> None:
    """When memory runs out, the kernel ends a color that is not live first. Raising the score needs no right."""
    if not (live / color).exists():
        files.set_oom_score(os.getpid(), _STANDBY_OOM_SCORE)


def _check_is_executable(program: str) -> None:
    """systemd-cat would only say that it failed."""
    if "/" in program and not os.access(program, os.X_OK):
        os.stat(program)  # its own word when it is not there  # noqa: PTH116
        raise PermissionError(13, "Permission denied", program)
