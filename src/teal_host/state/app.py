"""One app on this host: its paths, its history, and the seams that serve it. What every step is given."""

import contextlib
import time
from dataclasses import dataclass
from typing import Any, Callable, Iterator

from teal_host.ground.errors import Cancelled, GaveWay, HostError, as_host_error
from teal_host.ground.journal import Journal
from teal_host.ground.paths import AppPaths, HostPaths
from teal_host.state.seams import Provisioning, Proxy, Supervisor
from teal_host.wire.messages import OVERTAKEN, Note, Step

Tell = Callable[[Any], None]


@dataclass(frozen=True)
class Host:
    """One machine, and the three seams that serve its apps."""

    paths: HostPaths
    supervisor: Supervisor
    proxy: Proxy
    provisioning: Provisioning
    tell: Tell

    def app(self, name: str) -> "App":
        paths = self.paths.app(name)
        return App(name, self, paths, Journal(paths.journal))


@dataclass(frozen=True)
class App:
    name: str
    host: Host
    paths: AppPaths
    journal: Journal

    def tell(self, message: Any) -> None:
        self.host.tell(message)

    def warn(self, text: str) -> None:
        self.tell(Note("warning", text))

    @contextlib.contextmanager
    def best_effort(self) -> Iterator[None]:
        """Bookkeeping and tidying up: if it fails, for example on a full disk, Teal warns and carries on, and the next
        command's recovery finishes the work.
        """
        try:
            yield
        except Cancelled:
            raise
        except (HostError, OSError) as problem:
            self.warn(f"{as_host_error(problem).message}; what is left to be done, the next command does")

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator["Running"]:
        """Tell that a step runs, and how long it took; its `detail` is shown at the end."""
        running = Running(self, name)
        self.tell(Step(name, "started"))
        began = time.monotonic()
        try:
            yield running
        except HostError as error:
            running.detail = OVERTAKEN if isinstance(error, GaveWay) else running.detail
            self.tell(Step(name, "failed", time.monotonic() - began, running.detail))
            raise
        self.tell(Step(name, "done", time.monotonic() - began, running.detail))


@dataclass
class Running:
    """A step that runs now."""

    app: App
    name: str
    detail: str = ""

    def say(self, text: str) -> None:
        """What it waits for, when that has changed."""
        if text != self.detail:
            self.detail = text
            self.app.tell(Step(self.name, "started", 0.0, text))
