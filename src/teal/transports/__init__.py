"""The seam that opens a pipe to a Python over there. One table chooses; a transport is an argv."""

from teal.errors import CannotReach
from teal.transports.base import Transport
from teal.transports.local import local


def choose(target: str) -> Transport:
    """The transport of a target. Raises CannotReach for one that this version does not have."""
    if target == "local":
        return local()
    raise CannotReach(
        f"{target} cannot be reached by this version of Teal: it deploys to this machine only",
        hint='[server] target = "local"',
    )


__all__ = ["Transport", "choose"]
