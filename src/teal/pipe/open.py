"""The one place that chooses a transport and opens a session through it."""

from teal.pipe.session import Session
from teal.transports import choose


def open_session(target: str) -> Session:
    """Connect and wait for the greeting. Raises CannotReach."""
    return Session(choose(target))


def begin_session(target: str) -> Session:
    """Start to connect; the greeting is still to come. Raises CannotReach when the transport cannot be started."""
    return Session(choose(target), wait=False)
