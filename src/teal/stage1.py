# mypy: ignore-errors
"""What runs first over there: makes the modules that came along importable, and calls the server side's main.

Sent as text in front of a table SOURCES {module: source}; never imported here. Keep its syntax old enough that a Python
which is too old can still say so.
"""

import sys

if sys.version_info < (3, 9):  # noqa: UP036 - over there it may be
    sys.stdout.write("\nTEAL-HOST-TOO-OLD %s.%s\n" % sys.version_info[:2])  # noqa: UP031
    sys.exit(97)

import importlib.abc
import importlib.util
import os

SOURCES = globals().get("SOURCES", {})


class FromPipe(importlib.abc.InspectLoader, importlib.abc.MetaPathFinder):
    """Finds and loads the modules of the table."""

    def find_spec(self, name, path=None, target=None):
        if name not in SOURCES:
            return None
        return importlib.util.spec_from_loader(name, self, origin="teal:" + name, is_package=self.is_package(name))

    def is_package(self, name):
        return any(other.startswith(name + ".") for other in SOURCES)

    def get_source(self, name):
        return SOURCES[name]

    def exec_module(self, module):
        name = module.__name__
        exec(compile(SOURCES[name], "<" + name + ">", "exec", dont_inherit=True), module.__dict__)  # noqa: S102


def serve():
    """Keep the pipe for the messages alone: whatever else prints goes to standard error."""
    sys.meta_path.insert(0, FromPipe())
    outgoing = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    from teal_host.main import main

    return main(sys.argv[1:], sys.stdin.buffer, outgoing)


if SOURCES:
    sys.exit(serve())
