"""A connection that is still being opened, while the build runs and its artifact is read.

Until it is open nothing is shown, because ssh may ask for a passphrase on the same terminal.
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from teal.ground.errors import CannotReach
from teal.pipe.session import PipeEnded, Session
from teal_host.wire.app import AppSpec
from teal_host.wire.requests import Intended

_T = TypeVar("_T")


class PendingSession:
    """`ungreeted` is the session that may still wait for its greeting; `on_open` learns whether the greeting came.

    It can be watched while a program runs (`run.Alongside`).
    """

    def __init__(self, target: str, ungreeted: Session, on_open: Callable[[bool], None]) -> None:
        self.target = target
        self.ungreeted = ungreeted
        self._on_open = on_open
        self._held: list[Callable[[], None]] = []
        self._intended: AppSpec | None = None
        self.is_open = False

    @property
    def session(self) -> Session:
        """The session, after its greeting. Raises CannotReach."""
        self._open()
        return self.ungreeted

    def announce(self, spec: AppSpec) -> None:
        """Send `Intended` as soon as the session is open, so that a refusal arrives during the build."""
        self._intended = spec
        if self.is_open:
            self._send_intended()

    def withdraw(self) -> None:
        """Send no `Intended` any more, if it has not been sent: the Deploy itself comes now."""
        self._intended = None

    def fileno(self) -> int:
        return self.ungreeted.fileno()

    def is_readable(self) -> bool:
        """Is the session open, or can something of the greeting be received without waiting?"""
        return self.is_open or self.ungreeted.is_readable()

    def on_readable(self) -> None:
        """Receive the greeting, or after it the refusal of what was announced. Raises CannotReach, HostFailed."""
        if not self.is_open:
            self._open()
            return
        try:
            self.ungreeted.receive()
        except PipeEnded:
            raise CannotReach("contact lost before commit: nothing was changed", hint="try again") from None

    def _open(self) -> None:
        if self.is_open:
            return
        try:
            self.ungreeted.wait_for_greeting()
        except Exception:
            self._on_open(False)
            raise
        self._on_open(True)
        self.show_held_output()
        self._send_intended()

    def _send_intended(self) -> None:
        if self._intended is None:
            return
        spec, self._intended = self._intended, None
        try:
            self.ungreeted.write(Intended(spec))
        except OSError:
            return  # the wait for the answer reports that the server side is gone

    def show_held_output(self) -> None:
        """Show what was held back; from now on everything is shown at once."""
        self.is_open = True
        for show in self._held:
            show()
        self._held.clear()

    def held_back(self, show: Callable[[_T], None]) -> Callable[[_T], None]:
        """`show`, but what comes before the session is open is shown then."""

        def hold(item: _T) -> None:
            if self.is_open:
                show(item)
            else:
                self._held.append(partial(show, item))

        return hold
