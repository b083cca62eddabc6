"""Where this side begins, however it came here: through the pipe, or as the installed archive."""

import contextlib
import importlib
import os
import sys
from importlib.machinery import PathFinder

_NOT_IN_HALF = "shutil"  # used later, and in no half of a Python; to look whether it is there costs next to nothing


def start() -> int:
    """Of the installed archive. `launch` is what a unit runs before the app, so it imports nothing else.

    `recover` is run once after a boot, `certificates` daily and when certbot has renewed one.
    """
    if sys.argv[1:2] == ["launch"]:
        launch = importlib.import_module("teal_host.supervisors.launch")
        return int(launch.main(sys.argv[2:]) or 0)
    if sys.argv[1:2] == ["recover"]:
        return int(importlib.import_module("teal_host.main").at_boot(sys.argv[2]))
    if sys.argv[1:2] == ["certificates"]:
        return int(importlib.import_module("teal_host.main").renew_certificates())
    return serve()


def serve() -> int:
    """Keep the pipe for the messages alone: whatever else prints goes to standard error."""
    outgoing = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:  # Debian's python3-minimal has a part of the standard library only, in 12 not even json
        if PathFinder.find_spec(_NOT_IN_HALF) is None:
            raise ModuleNotFoundError(name=_NOT_IN_HALF)
        from teal_host.pipe.greet import greet
    except ImportError as error:
        outgoing.write(f"\nTEAL-HOST-INCOMPLETE {error.name}\n".encode())
        outgoing.flush()
        return 97
    with contextlib.suppress(OSError):  # whoever has gone is missed at the next word
        greet(outgoing)
    from teal_host.main import main

    return main(sys.argv[1:], sys.stdin.buffer, outgoing)
