"""Where a command reports its steps: to its user, and into the account that the result is written from."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from teal.ground.errors import HostFailed
from teal.stories.result_json import Account
from teal.ui.base import STOPPED, Ui
from teal_host.wire.messages import Note, Step


@dataclass(frozen=True)
class Reporter:
    ui: Ui
    account: Account

    def receive(self, message: Step | Note) -> None:
        """A step or note of the server side. The seconds of a step that comes twice are added up."""
        if isinstance(message, Note):
            self.ui.note(message)
            return
        seconds = self.account.seconds
        seconds[message.name] = seconds.get(message.name, 0.0) + message.seconds
        self.ui.step(message)

    @contextmanager
    def clock(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.account.seconds[name] = time.monotonic() - began

    @contextmanager
    def step(self, name: str, show: Callable[[Step], None] | None = None) -> Iterator[None]:
        """A step of the client, shown as those of the server side are. `show` takes the place of the user interface."""
        show = show or self.ui.step
        show(Step(name, "started"))
        try:
            with self.clock(name):
                yield
        except Exception as error:
            detail = STOPPED if isinstance(error, HostFailed) else ""
            show(Step(name, "failed", self.account.seconds[name], detail))
            raise
        show(Step(name, "done", self.account.seconds[name]))
