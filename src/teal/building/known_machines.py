"""Which machine each target is, remembered from its last greeting: so a build for it begins while the line is opened.

It may be missing, old or wrong at any time: the next greeting tells, and a build for another machine is done again.
What is remembered came from a server, and it goes into a build command: it is read by the same grammar as a greeting.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import NamedTuple

from teal.ground import files
from teal.ground.errors import Usage
from teal_host.wire.upward import machine_name


class Machine(NamedTuple):
    """As its kernel says."""

    machine: str
    system: str


def recall(target: str) -> Machine | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        remembered = json.loads(_path(target).read_text())
        machine = Machine(remembered["machine"], remembered["system"])
        if not any(machine_name(word) for word in machine):  # a TypeError for what is no text
            return machine
    return None


def remember(target: str, machine: Machine) -> None:
    if recall(target) != machine:
        with contextlib.suppress(OSError, Usage):
            files.private_dir(_path(target).parent)
            files.write(_path(target), json.dumps(machine._asdict()))


def _path(target: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = (Path(base) if base.startswith("/") else Path.home() / ".cache") / "teal/machines"
    return folder / hashlib.sha256(target.encode()).hexdigest()[:16]
