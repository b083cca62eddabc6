"""The exchange of a deploy, rollback or destroy: connect, receive messages, and explain an interruption truthfully."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from teal.config.read import ConfigFile
from teal.ground.errors import CannotReach, ContactLost, Interrupted, StrangeAnswer, TealError
from teal.pipe.open import begin_session
from teal.pipe.pending_session import PendingSession
from teal.pipe.session import PipeEnded, Session, expect
from teal.sending.upload import Uploader
from teal.stories.reporter import Reporter
from teal_host.wire.messages import Note, Step
from teal_host.wire.uploads import Taken

_T = TypeVar("_T")


@dataclass
class Commitment:
    """Once it is made, the server side finishes the command alone, whatever happens to the connection."""

    made: bool = False


def request_answer(file: ConfigFile, request: object, kind: type[_T], reporter: Reporter) -> _T:
    """Send a request that the server side finishes alone from its first word on, and return its answer of this kind.

    Raises TealError.
    """
    with (
        reporter.clock("total"),
        connecting(file, reporter) as pending,
        explain_interruption(pending.session, type(request).__name__.lower()) as commitment,
    ):
        pending.session.send(request)
        commitment.made = not getattr(request, "dry_run", False)
        return expect(receive_answer(pending.session, reporter), kind)


def receive_answer(session: Session, reporter: Reporter, upload: Uploader | None = None) -> object:
    """Report the events up to the message that asks for something, or that is the answer. Raises PipeEnded."""
    for message in session.events():
        if isinstance(message, Taken) and upload:
            upload.on_taken(message)
        elif isinstance(message, Step | Note):
            if upload and isinstance(message, Step) and (message.name, message.state) == ("upload", "done"):
                upload.on_finished()
            reporter.receive(message)
        else:
            return message
    raise PipeEnded


@contextmanager
def connecting(file: ConfigFile, reporter: Reporter) -> Iterator[PendingSession]:
    """Start to connect; the caller works meanwhile. Raises CannotReach."""
    reporter.account.app = file.config.app
    began = time.monotonic()

    def report(connected: bool) -> None:
        seconds = reporter.account.seconds["connect"] = time.monotonic() - began
        reporter.ui.step(Step("connect", "done" if connected else "failed", seconds))

    reporter.ui.step(Step("connect", "started"))
    try:
        session = begin_session(file.config.server.target)
    except TealError:
        report(connected=False)
        raise
    with session:
        try:
            yield PendingSession(file.config.server.target, session, report)
        finally:
            reporter.account.bytes_sent = session.bytes_sent


@contextmanager
def explain_interruption(session: Session, command: str) -> Iterator[Commitment]:
    """What a lost connection, a strange answer or Ctrl-C means depends on the commitment.

    After it the outcome is not known here.
    """
    commitment = Commitment()
    try:
        yield commitment
    except PipeEnded:
        if commitment.made:
            session.detach()
            raise ContactLost("contact lost after commit: the outcome is not known here", hint="teal status") from None
        raise CannotReach("contact lost before commit: nothing was changed", hint="try again") from None
    except StrangeAnswer as strange:
        if commitment.made:
            session.detach()
            raise strange.lost("the outcome is not known here", "teal status") from None
        raise
    except KeyboardInterrupt:
        if commitment.made:
            session.detach()
            message = f"interrupted; the server goes on with the {command} and finishes it by itself"
            error = Interrupted(message, hint="teal status")
            error.outcome = "unknown"
            raise error from None
        raise Interrupted("interrupted; nothing was changed") from None
