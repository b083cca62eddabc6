"""The seam that opens a pipe to a Python over there. One table chooses; a transport is an argv."""

from collections.abc import Sequence

from teal.ground.errors import Usage
from teal.transports import multipass as vm
from teal.transports import ssh as remote
from teal.transports.base import Transport
from teal.transports.local import local


def choose(target: str) -> Transport:
    """The transport of a target. Raises CannotReach for what is none."""
    if target == "local":
        return local()
    if target.startswith("multipass://"):
        return vm.multipass(target)
    return remote.ssh(target)


def login(target: str, command: Sequence[str], on_a_terminal: bool) -> list[str]:
    """The argv of a person's login there. Raises Usage where there is nothing to log in to."""
    if target == "local":
        raise Usage("this app lives on this machine: there is no server to log in to", hint="teal status")
    if target.startswith("multipass://"):
        return vm.login(target, command)
    return remote.login(target, command, on_a_terminal)


def brought_by(program: str) -> str:
    """What to do where a program of a way is not there."""
    return {"ssh": "apt install openssh-client", "multipass": "snap install multipass"}.get(program, "")


__all__ = ["Transport", "brought_by", "choose", "login"]
