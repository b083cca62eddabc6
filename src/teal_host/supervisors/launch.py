"""Become the program of a color: what a systemd unit starts, as the app's user and inside its sandbox.

The unit is fixed at setup; which command with which environment is a file of the color's, handed over by systemd as a
credential. So nothing that a deploy sends ever stands in a unit file, and no secret in anything that `systemctl show`
tells. systemd-cat names the release in the system's log and then becomes the program too.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Dict, List

from teal_host.ground import files

CREDENTIAL = "start"
CANNOT_START = 203  # systemd's own code for the same (EXIT_EXEC)
_STANDBY_OOM_SCORE = 500  # of -1000 to 1000: with the live color, this one goes first
_NOT_FOR_THE_PROGRAM = ("CREDENTIALS_DIRECTORY", "SHELL")


def main(arguments: List[str]) -> int:
    """`arguments`: the link `live` and the color. Returns only when the program cannot be started."""
    told = _told()
    _stand_back(Path(arguments[0]), arguments[1])
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and what is ignored is inherited
        signal.signal(number, signal.SIG_DFL)
    env = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_THE_PROGRAM}
    try:
        os.chdir(told["cwd"])
        _refuse_what_is_not_there(told["argv"][0])
        argv = ["systemd-cat", f"--identifier={told['release']}", "--", *told["argv"]]
        os.execve("/usr/bin/systemd-cat", argv, {**env, **told["env"]})  # noqa: S606
    except OSError as error:
        sys.stderr.write(f"teal: {told['argv'][0]} cannot be started: {error.strerror}\n")
    return CANNOT_START


def _told() -> Dict[str, Any]:
    path = Path(os.environ["CREDENTIALS_DIRECTORY"]) / CREDENTIAL
    told = json.loads(path.read_text())
    assert isinstance(told, dict)
    return told


def _stand_back(live: Path, color: str) -> None:
    """Unless this color is live, offer it to the kernel first when memory runs out. Raising it needs no right."""
    if not (live / color).exists():
        files.set_oom_score(os.getpid(), _STANDBY_OOM_SCORE)


def _refuse_what_is_not_there(program: str) -> None:
    """systemd-cat would only say that it failed."""
    if "/" in program and not os.access(program, os.X_OK):
        os.stat(program)  # its own word when it is not there  # noqa: PTH116
        raise PermissionError(13, "Permission denied", program)
