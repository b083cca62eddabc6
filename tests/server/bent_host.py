"""The server side with a changed behaviour. Runs instead of `python` on the server:

    python -I -S bent_host.py BEND -c STAGE0 ARGUMENTS...

Runs STAGE0 as `python -c` would, and the Python code BEND once all of teal_host is imported.
"""

import builtins
import sys
from typing import Any


def attach(bend: str) -> None:
    real = builtins.__import__

    def importing(name: str, *rest: Any, **named: Any) -> Any:
        module = real(name, *rest, **named)
        if hasattr(sys.modules.get("teal_host.main"), "main"):
            builtins.__import__ = real
            exec(bend, {})
        return module

    builtins.__import__ = importing


def main() -> None:
    bend, minus_c, stage0, *arguments = sys.argv[1:]
    assert minus_c == "-c"
    attach(bend)
    sys.argv = ["-c", *arguments]
    exec(stage0, {"__name__": "__main__"})


if __name__ == "__main__":
    main()
