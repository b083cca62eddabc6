"""Pack the server side so that a bare Python over there can run it: nothing needs to be installed."""

import zlib
from importlib import resources
from importlib.resources.abc import Traversable

_PACKAGE = "teal_host"


def payload() -> bytes:
    """The compressed program: the table of all modules of the server side, and stage 1 that imports from it."""
    stage1 = resources.files("teal").joinpath("stage1.py").read_text(encoding="utf-8")
    sources = dict(_modules(resources.files(_PACKAGE), _PACKAGE))
    return zlib.compress(f"SOURCES = {sources!r}\n{stage1}".encode(), 9)


def stage0(size: int) -> str:
    """The few words that fit into an argument: read so many bytes and run them."""
    return f"import sys,zlib;b=sys.stdin.buffer.read({size});len(b)=={size} and exec(zlib.decompress(b))"


def _modules(folder: Traversable, name: str) -> "list[tuple[str, str]]":
    """Walks the package, so there is no list to keep by hand."""
    found = []
    for item in sorted(folder.iterdir(), key=lambda item: item.name):
        if item.is_dir() and item.joinpath("__init__.py").is_file():
            found += _modules(item, f"{name}.{item.name}")
        elif item.name.endswith(".py"):
            stem = item.name.removesuffix(".py")
            module = name if stem == "__init__" else f"{name}.{stem}"
            found.append((module, item.read_text(encoding="utf-8")))
    return found
