"""The server side of a local command, with the modules compiled before: compiling takes half of such a side's start.

    python -I -S compiled.py FILE -c STAGE0 ARGUMENTS...

Runs STAGE0 as `python -c` would. The sources arrive through the pipe, as always. Where FILE has the code of the same
source, this process takes that code; FILE is {name: (source, marshalled code)}.
"""

import builtins
import marshal
import sys
from pathlib import Path
from typing import Any

COMPILE = compile


def table() -> bytes:
    """The content of FILE for the server side that this client sends."""
    from teal.pipe import bootstrap

    modules = {f"<{name}>": text for name, text in bootstrap.sources().items()}
    return marshal.dumps(
        {name: (text, marshal.dumps(compile(text, name, "exec", dont_inherit=True))) for name, text in modules.items()}
    )


class Compiled:
    """The built-in compile, for the sources of a client that runs the same Python and has compiled them before."""

    def __init__(self, file: Path) -> None:
        self._known: dict[str, tuple[str, bytes]] = marshal.loads(file.read_bytes())

    def __call__(self, source: Any, filename: Any, *rest: Any, **named: Any) -> Any:
        known, code = self._known.get(filename, ("", b""))
        return marshal.loads(code) if known == source else COMPILE(source, filename, *rest, **named)


def main() -> None:
    file, minus_c, stage0, *arguments = sys.argv[1:]
    assert minus_c == "-c"
    builtins.compile = Compiled(Path(file))
    sys.argv = ["-c", *arguments]
    exec(stage0, {"__name__": "__main__"})


if __name__ == "__main__":
    main()
