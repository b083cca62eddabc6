"""How the client reaches a Python on the target. A transport is an argv; `choose` picks one by the target."""

from collections.abc import Sequence

from teal.ground.errors import Usage
from teal.transports import multipass as vm
from teal.transports import ssh as remote
from teal.transports.base import Transport
from teal.transports.local import local


def choose(target: str) -> Transport:
    """The transport of a target. Raises CannotReach for a target that is none."""
    if target == "local":
        return local()
    if target.startswith("multipass://"):
        return vm.multipass(target)
    return remote.ssh(target)


def login(target: str, command: Sequence[str], on_a_terminal: bool) -> list[str]:
    """The argv of a person's own login. Raises Usage for a target without a login."""
    if target == "local":
        raise Usage("this app runs on this machine: there is no server to log in to", hint="teal status")
    if target.startswith("multipass://"):
        return vm.login(target, command)
    return remote.login(target, command, on_a_terminal)


def install_hint(program: str) -> str:
    """What to type where the program of a transport is missing."""
    return {"ssh": "apt install openssh-client", "multipass": "snap install multipass"}.get(program, "")


__all__ = ["Transport", "choose", "install_hint", "login"]
