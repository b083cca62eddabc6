# mypy: ignore-errors
"""The second program on the target: makes the modules that were sent importable, and starts the server side.

Sent as text behind a table SOURCES {module: source}; never imported here.
"""

import sys
from importlib.machinery import ModuleSpec  # not importlib.abc, which python3-minimal lacks

SOURCES = globals().get("SOURCES", {})


class FromPipe:
    """Finds and loads the modules of SOURCES."""

    table = SOURCES

    def find_spec(self, name, path=None, target=None):
        if name not in SOURCES:
            return None
        return ModuleSpec(name, self, origin="teal:" + name, is_package=self.is_package(name))

    def create_module(self, spec):
        return None  # an ordinary module

    def is_package(self, name):
        return any(other.startswith(name + ".") for other in SOURCES)

    def get_source(self, name):
        return SOURCES[name]

    def exec_module(self, module):
        name = module.__name__
        exec(compile(SOURCES[name], "<" + name + ">", "exec", dont_inherit=True), module.__dict__)  # noqa: S102


def begin():
    sys.meta_path.insert(0, FromPipe())
    from teal_host.start import serve

    return serve()


if SOURCES:
    sys.exit(begin())
