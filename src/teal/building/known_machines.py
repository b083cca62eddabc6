"""The machine of each target, remembered from its last greeting: a build can start before the connection is open.

An entry may be missing, old or wrong at any time: the next greeting decides, and a build for a wrong machine is
repeated. An entry came from a server and goes into a build command, so the grammar of a greeting checks it again.
"""

import contextlib
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from teal.ground import files
from teal.ground.errors import Usage
from teal_host.wire.upward import machine_name


class Machine(NamedTuple):
    """As its kernel names itself."""

    machine: str
    system: str


def recall(target: str) -> Machine | None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        remembered = json.loads(_path(target).read_text())
        machine = Machine(remembered["machine"], remembered["system"])
        if not any(machine_name(word) for word in machine):  # raises TypeError for what is not text
            return machine
    return None


def remember(target: str, machine: Machine) -> None:
    if recall(target) != machine:
        with contextlib.suppress(OSError, Usage):
            files.private_dir(_path(target).parent)
            files.write(_path(target), json.dumps(machine._asdict()))


def _path(target: str) -> Path:
    return files.own_folder("XDG_CACHE_HOME", ".cache") / "machines" / hashlib.sha256(target.encode()).hexdigest()[:16]
