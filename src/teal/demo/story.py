"""The demo as a story, under load from clients that never retry."""

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
from teal.stories.destroy import destroy
from teal.stories.result_json import Account
from teal.stories.rollback import RollbackOptions, rollback
from teal.ui.base import Ui
from teal_host.wire.messages import Note
from teal_host.wire.reports import StatusReport

AT_LEAST = 5_000  # requests, so that "none failed" means something
_ENOUGH_WITHIN_S = 60.0


@dataclass(frozen=True)
class Narrator:
    """How the demo is told: a sentence, and the picture of who serves whom."""

    ui: Ui
    say: Callable[[str], None]
    show: Callable[[StatusReport], None]


@dataclass
class Told:
    """How far the story went; filled while it is told, true however it ends."""

    deploys: int = 0
    rollbacks: int = 0
    seconds_total: float = 0.0
    tally: Tally = field(default_factory=lambda: Tally(0, 0, 0.0, ()))


def run(narrator: Narrator, told: Told) -> None:
    """Raises TealError when a part of the story does not go as it should, or a request was lost."""
    began = time.monotonic()
    try:
        with _own_home() as home:
            example = prepare(home)
            with _destroyed_at_the_end(example, narrator.ui):
                _acts(example, narrator, told)
    finally:
        told.seconds_total = time.monotonic() - began
    if told.tally.failed or told.tally.requests < AT_LEAST:
        raise TealError(f"{told.tally.failed} of {told.tally.requests:,} requests were lost", told.tally.failures)


def _acts(example: Example, narrator: Narrator, told: Told) -> None:
    narrator.say("version 1 goes live, on blue")
    _deploy(example.version("v1"), narrator, told)
    load = Load(("127.0.0.1", example.http_port), f"127.0.0.1:{example.http_port}")
    load.start()
    try:
        narrator.say("now under load: 8 keep-alive clients, GET and POST, that never retry")
        narrator.say("version 2 takes over, on green")
        _deploy(example.version("v2"), narrator, told)
        narrator.say("version 3 is broken: it ends as soon as it is started")
        _refused(example.version("v3", broken="exit"), narrator, told)
        narrator.say("back to version 1")
        file = example.version("v2")
        rollback(file, RollbackOptions(), narrator.ui, Account())
        told.rollbacks += 1
        narrator.show(queries.status(file))
        load.wait_for(AT_LEAST, _ENOUGH_WITHIN_S)
    finally:
        told.tally = load.stop()


def _deploy(file: ConfigFile, narrator: Narrator, told: Told) -> None:
    deploy(file, DeployOptions(), narrator.ui, Account())
    told.deploys += 1
    narrator.show(queries.status(file))


def _refused(file: ConfigFile, narrator: Narrator, told: Told) -> None:
    try:
        deploy(file, DeployOptions(), narrator.ui, Account())
    except HostFailed as error:
        if error.exit_code != 6:
            raise
        told.deploys += 1
        narrator.ui.note(Note("info", f"refused, as it should be: {error.message}"))
        return
    raise TealError("the broken version was not refused")


@contextmanager
def _own_home() -> Iterator[Path]:
    """A state root of the demo's own, so that it meets no other local app."""
    before = os.environ.get("XDG_STATE_HOME")
    with tempfile.TemporaryDirectory(prefix="teal-demo-") as home:
        os.environ["XDG_STATE_HOME"] = home
        try:
            yield Path(home)
        finally:
            if before is None:
                del os.environ["XDG_STATE_HOME"]
            else:
                os.environ["XDG_STATE_HOME"] = before


@contextmanager
def _destroyed_at_the_end(example: Example, ui: Ui) -> Iterator[None]:
    """Nothing of the demo stays, however it ends; its own error is the one that is told."""
    try:
        yield
    except BaseException:
        with suppress(TealError):
            destroy(example.version("v1"), 30, ui)
        raise
    destroy(example.version("v1"), 30, ui)
