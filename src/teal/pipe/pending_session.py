"""A connection that is on its way, while what does not need it goes on: a build, the look at its artifact.

Until it is there nothing is shown, because ssh may be asking something on the same terminal.
"""

from collections.abc import Callable

from teal.ground.errors import CannotReach
from teal.pipe.session import PipeEnded, Session
from teal.ui.base import Ui
from teal_host.wire.app import AppSpec
from teal_host.wire.messages import Intended, Step


class PendingSession:
    """`begun` may not have greeted yet; `opened` is told whether it came to that.

    Can stand beside a program (`programs.Beside`).
    """

    def __init__(self, target: str, begun: Session, opened: Callable[[bool], None]) -> None:
        self.target = target
        self.begun = begun
        self._opened = opened
        self._held: list[Callable[[], None]] = []
        self._ahead: AppSpec | None = None
        self.is_open = False

    @property
    def session(self) -> Session:
        """Greeted. Raises CannotReach."""
        self._open()
        return self.begun

    def ask_ahead(self, spec: AppSpec | None) -> None:
        """Once it is open, say what will be asked for: a refusal is then heard during the build. None: no more."""
        self._ahead = spec
        if self.is_open:
            self._say_ahead()

    def fileno(self) -> int:
        return self.begun.fileno()

    def says_something(self) -> bool:
        """Is it open, or is there something to hear on the way?"""
        return self.is_open or self.begun.says_something()

    def hear(self) -> None:
        """The greeting, or behind it a refusal of what was said ahead. Raises CannotReach, HostFailed."""
        if not self.is_open:
            self._open()
            return
        try:
            self.begun.receive()
        except PipeEnded:
            raise CannotReach("contact lost before commit: nothing was changed", hint="try again") from None

    def _open(self) -> None:
        if self.is_open:
            return
        try:
            self.begun.hear()
        except Exception:
            self._opened(False)
            raise
        self._opened(True)
        self.show()
        self._say_ahead()

    def _say_ahead(self) -> None:
        if self._ahead is None:
            return
        spec, self._ahead = self._ahead, None
        try:
            self.begun.push(Intended(spec))
        except OSError:
            return  # whoever has gone is missed when the answer is waited for

    def show(self) -> None:
        """What was held back, and from now on everything."""
        self.is_open = True
        for shown in self._held:
            shown()
        self._held.clear()

    def when_open(self, show: Callable[[], None]) -> None:
        if self.is_open:
            show()
        else:
            self._held.append(show)


class HeldBackOutput:
    """What a build tells, shown when the connection is there."""

    def __init__(self, ui: Ui, line: PendingSession) -> None:
        self._ui = ui
        self._line = line

    def step(self, step: Step) -> None:
        self._line.when_open(lambda: self._ui.step(step))

    def output(self, line: str) -> None:
        self._line.when_open(lambda: self._ui.output(line))
