"""Pack the server side so that a bare Python on the target can run it: nothing needs to be installed."""

import base64
import bz2
import functools
import zlib
from pathlib import Path

from teal_host.wire import sources as wire
from teal_host.wire.sources import CALLS, INSTALLED, PYTHON
from teal_host.wire.sources import digest as digest_of

_PACKAGE = "teal_host"
_HERE = Path(__file__).parent  # importlib.resources takes longer to import than all of this module


@functools.cache
def sources() -> dict[str, str]:
    """All modules of the server side, by walking the package: there is no list to maintain."""
    return dict(_modules(Path(wire.__file__).parents[1], _PACKAGE))


def digest() -> str:
    """A server compares it with that of the installed server side: when they are equal, nothing is sent."""
    return digest_of(sources())


@functools.cache
def payload(server: bool) -> bytes:
    """Eight digits of size, then the compressed program: the table SOURCES, and stage 1, which imports from it.

    On the way to a server bytes cost more than time: bz2 makes a quarter less of them than zlib. On this machine zlib's
    fastest level saves 50 ms of each command.
    """
    program = f"SOURCES = {sources()!r}\n{_text('stage1.py')}".encode()
    packed = bz2.compress(program) if server else zlib.compress(program, 1)
    return b"%08x" % len(packed) + packed


def stage0(server: bool) -> str:
    """The first program, small enough for an argument. On a server it starts the installed server side, as root.

    In base64, so that no shell on the way finds a quote, a line break or a `!` in it. One word stands in clear text: by
    it the forced command of a deploy key recognizes Teal.
    """
    known = f"DIGEST, SERVER, INSTALLED, PYTHON = {digest()!r}, {server!r}, {'/' + INSTALLED!r}, {PYTHON!r}\n"
    text = _text("stage0.py").split('"""', 2)[2]  # what stands above the code is for its readers alone
    packed = base64.b64encode(zlib.compress((known + text).encode(), 9)).decode()
    return f'"{CALLS}";import binascii,zlib;exec(zlib.decompress(binascii.a2b_base64("{packed}")))'


def _text(name: str) -> str:
    return _HERE.joinpath(name).read_text(encoding="utf-8")


def _modules(folder: Path, name: str) -> "list[tuple[str, str]]":
    modules = []
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir() and item.joinpath("__init__.py").is_file():
            modules += _modules(item, f"{name}.{item.name}")
        elif item.name.endswith(".py"):
            stem = item.name.removesuffix(".py")
            module = name if stem == "__init__" else f"{name}.{stem}"
            modules.append((module, wire.without_docstrings(item.read_text(encoding="utf-8"))))
    return modules
