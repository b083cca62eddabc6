"""Runs the demo: deploys, a refused release and a rollback, under load from clients that never retry."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from teal.config.read import ConfigFile
from teal.demo.example import Example, prepare
from teal.demo.load import Load, Tally
from teal.ground.errors import HostFailed, TealError
from teal.stories import queries
from teal.stories.deploy import DeployOptions, deploy
from teal.stories.destroy import DestroyOptions, destroy
from teal.stories.result_json import Account
from teal.stories.rollback import RollbackOptions, rollback
from teal.ui.base import Ui
from teal_host.wire.messages import Note
from teal_host.wire.reports import StatusReport

MIN_REQUESTS = 5_000  # so that "no request failed" means something
_LOAD_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Narrator:
    """Reports the demo to the user: sentences, and the picture that shows which release is live."""

    ui: Ui
    say: Callable[[str], None]
    show: Callable[[StatusReport], None]


@dataclass
class DemoResult:
    """The counts of the demo. `run` fills them step by step, so they are correct after a failure too."""

    deploys: int = 0
    rollbacks: int = 0
    seconds_total: float = 0.0
    tally: Tally = field(default_factory=Tally)


def run(narrator: Narrator, result: DemoResult) -> None:
    """Raises TealError when a step does not end as planned, or when a request was lost."""
    began = time.monotonic()
    try:
        with _own_state_root() as home:
            example = prepare(home)
            with _destroyed_afterwards(example, narrator.ui):
                _run_steps(example, narrator, result)
    finally:
        result.seconds_total = time.monotonic() - began
    if result.tally.failed or result.tally.requests < MIN_REQUESTS:
        raise TealError(f"{result.tally.failed} of {result.tally.requests:,} requests were lost", result.tally.failures)


def _run_steps(example: Example, narrator: Narrator, result: DemoResult) -> None:
    narrator.say("version 1 goes live, on blue")
    _deploy(example.version("v1"), narrator, result)
    load = Load(example.http_port)
    load.start()
    try:
        narrator.say("8 keep-alive clients now send GET and POST and never retry")
        narrator.say("version 2 takes over, on green")
        _deploy(example.version("v2"), narrator, result)
        narrator.say("version 3 is broken: the program exits at its start")
        _deploy_broken(example.version("v3", broken="exit"), narrator, result)
        narrator.say("back to version 1")
        file = example.version("v2")
        rollback(file, RollbackOptions(), narrator.ui, Account())
        result.rollbacks += 1
        narrator.show(queries.status(file))
        load.wait_for(MIN_REQUESTS, _LOAD_TIMEOUT_S)
    finally:
        result.tally = load.stop()


def _deploy(file: ConfigFile, narrator: Narrator, result: DemoResult) -> None:
    deploy(file, DeployOptions(), narrator.ui, Account())
    result.deploys += 1
    narrator.show(queries.status(file))


def _deploy_broken(file: ConfigFile, narrator: Narrator, result: DemoResult) -> None:
    try:
        deploy(file, DeployOptions(), narrator.ui, Account())
    except HostFailed as error:
        if error.exit_code != 6:
            raise
        result.deploys += 1
        narrator.ui.note(Note("info", f"refused, as planned: {error.message}"))
        return
    raise TealError("the broken version was not refused")


@contextmanager
def _own_state_root() -> Iterator[Path]:
    """The demo has a state root of its own and never touches other local apps."""
    previous = os.environ.get("XDG_STATE_HOME")
    with tempfile.TemporaryDirectory(prefix="teal-demo-") as home:
        os.environ["XDG_STATE_HOME"] = home
        try:
            yield Path(home)
        finally:
            if previous is None:
                del os.environ["XDG_STATE_HOME"]
            else:
                os.environ["XDG_STATE_HOME"] = previous


@contextmanager
def _destroyed_afterwards(example: Example, ui: Ui) -> Iterator[None]:
    """Destroys the example, also after an error. The error of the demo wins over an error of destroy."""
    try:
        yield
    except BaseException:
        with suppress(TealError):
            destroy(example.version("v1"), DestroyOptions(30), ui)
        raise
    destroy(example.version("v1"), DestroyOptions(30), ui)
