"""Programs that a server needs and lacks, from the distribution's own packages."""

import contextlib
import os
import shutil
from functools import partial
from typing import Iterator, List

from teal_host.ground.errors import BadRequest, CannotRun
from teal_host.ground.run import SYSTEM_PATH, run
from teal_host.preparations.base import Intent
from teal_host.preparations.change import SetupChange
from teal_host.preparations.tls_folder import OPENSSL
from teal_host.supervisors import nftables
from teal_host.wire.app import NO_HTTPS
from teal_host.wire.sources import PYTHON

_APT = (
    *("env", "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_SUSPEND=1", "apt-get", "-q"),
    *(
        "-o",
        "DPkg::Lock::Timeout=120",
        "-o",
        "Dpkg::Options::=--force-confdef",
        "-o",
        "Dpkg::Options::=--force-confold",
    ),
)
NFTABLES = "nftables"
_INSTALL_S = 600.0


def changes(intent: Intent) -> Iterator[SetupChange]:
    needed = {"nginx": "nginx", **({"sudo": "sudo"} if intent.key or intent.footprint.keys else {})}
    needed.update({OPENSSL: OPENSSL} if intent.agreed.https != NO_HTTPS else {})
    missing = [package for program, package in needed.items() if not is_installed(program)]
    missing += [] if os.access(PYTHON, os.X_OK) else ["python3"]  # this may be another one, of the login's
    has_apt = is_installed("apt-get")
    if missing and not has_apt:
        names = " and ".join(missing)
        raise BadRequest(f"this server has no {names}, and no apt-get to install it", hint=f"install {names}")
    if missing:
        yield SetupChange(f"install {', '.join(missing)} (apt-get install)", partial(_install, missing))
    if has_apt and not nftables.is_installed():
        text = f"install {NFTABLES} (apt-get install), for the ports of the colors"
        yield SetupChange(text, _try_nftables, is_optional=True)


def install_missing(program: str) -> None:
    """A package that has the program's name. Raises CannotRun."""
    if not is_installed(program):
        _install([program])


def is_installed(program: str) -> bool:
    """Teal also looks in directories that the PATH of a login may lack."""
    return shutil.which(program, path=SYSTEM_PATH) is not None


def _errors(lines: List[str]) -> List[str]:
    """apt-get's own complaints, which may stand far above the end of the output."""
    return [line for line in lines if line.startswith(("E:", "Err:", "dpkg:"))][:6] or lines[-6:]


def _try_nftables() -> None:
    """The app runs without it, and then the doctor says what is not protected."""
    with contextlib.suppress(CannotRun):
        _install([NFTABLES])


def _install(packages: List[str]) -> None:
    """With the package lists of this server. If they are too old or missing, with new lists."""
    install = [*_APT, "install", "-y", "--no-install-recommends", *packages]
    if run(install, _INSTALL_S).code == 0:
        return
    run([*_APT, "update"], _INSTALL_S)
    installed = run(install, _INSTALL_S)
    if installed.code:
        hint = f"on the server: apt-get update && apt-get install {' '.join(packages)}; then teal setup again"
        raise CannotRun(f"apt-get cannot install {', '.join(packages)}", _errors(installed.lines), hint)
