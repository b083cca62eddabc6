"""The story of a deploy on this side: connect, build, look at the artifact, send what is wanted, say commit, listen."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from teal.building import artifact as artifacts
from teal.building import build as builds
from teal.building import compatibility, known_machines
from teal.building.artifact import Artifact
from teal.building.known_machines import Machine
from teal.building.origin import origin
from teal.config.read import ConfigFile
from teal.ground.errors import BuildFailed, CannotReach, ContactLost, HostFailed, Interrupted, TealError
from teal.pipe.pending_session import HeldBackOutput, PendingSession
from teal.pipe.session import PipeEnded, Session, expect
from teal.sending.upload import Goal, Upload
from teal.stories.result_json import Account
from teal.transports import choose
from teal.ui.base import Ui
from teal_host.wire import messages
from teal_host.wire.messages import Commit, Deploy, Destroy, Done, Result, Rollback, Step
from teal_host.wire.uploads import Taken, Wanted


@dataclass(frozen=True)
class DeployOptions:
    """What was asked for on the command line. `wait_s`: how long to wait for another command's end."""

    artifact: Path | None = None
    wait_s: float = 0.0
    dry_run: bool = False


def deploy(file: ConfigFile, wish: DeployOptions, ui: Ui, account: Account) -> Result:
    """Raises TealError. The account is filled as far as it went."""
    with _clock(account, "total"), _connecting(file, ui, account) as line:
        artifact, sent_from = _made(file, wish, line, ui, account), origin(file.directory)
        upload = Upload(line.begun, artifact, Goal(file.config.server.target, file.config.app), ui)
        upload.make_ahead(line.says_something)
        session = line.session  # from here on it waits for the greeting, if that has not come
        request = Deploy(
            file.config.spec,
            artifact.manifest,
            sent_from,
            uuid.uuid4().hex,
            wish.wait_s,
            wish.dry_run,
            compatibility.check(file.config.run.command, artifact, session.there),
        )
        with _honest(session, account, "deploy") as phase:
            session.send(request)
            answer = _until(session, ui, account, upload)
            while isinstance(answer, Wanted):
                phase.committed = False  # asked again: the last Commit counts for nothing
                upload.send(answer)
                session.send(Commit())
                phase.committed = True
                answer = _until(session, ui, account, upload)
    return expect(answer, Result)


def rollback(file: ConfigFile, release: str | None, wait_s: float, ui: Ui, account: Account) -> Result:
    """Raises TealError."""
    request = Rollback(file.config.app, origin(), uuid.uuid4().hex, release, wait_s)
    return expect(_one_request(file, request, ui, account), Result)


def destroy(file: ConfigFile, wait_s: float, ui: Ui) -> None:
    """Raises TealError."""
    expect(_one_request(file, Destroy(file.config.app, origin(), wait_s), ui, Account()), Done)


def _one_request(file: ConfigFile, request: object, ui: Ui, account: Account) -> object:
    """A request that the other side finishes alone from its first word on."""
    with (
        _clock(account, "total"),
        _connected(file, ui, account) as session,
        _honest(session, account, type(request).__name__.lower()) as phase,
    ):
        session.send(request)
        phase.committed = True
        return _until(session, ui, account)


@contextmanager
def _connected(file: ConfigFile, ui: Ui, account: Account) -> Iterator[Session]:
    account.app = file.config.app
    with _step(ui.step, account, "connect"):
        session = Session(choose(file.config.server.target))
    with session:
        yield session


@contextmanager
def _connecting(file: ConfigFile, ui: Ui, account: Account) -> Iterator[PendingSession]:
    account.app = file.config.app
    began = time.monotonic()

    def opened(well: bool) -> None:
        account.seconds["connect"] = time.monotonic() - began
        ui.step(Step("connect", "done" if well else "failed", account.seconds["connect"]))

    ui.step(Step("connect", "started"))
    try:
        session = Session(choose(file.config.server.target), at_once=False)
    except TealError:
        opened(False)
        raise
    with session:
        try:
            yield PendingSession(session, opened)
        finally:
            account.bytes_sent = session.bytes_sent


def _made(file: ConfigFile, wish: DeployOptions, line: PendingSession, ui: Ui, account: Account) -> Artifact:
    """Built for the machine at the other end, and looked at. As long as that can be, while the line is being opened."""
    if wish.artifact is None and file.config.build.command:
        _built(file, line, ui, account)
    artifact = artifacts.find(file, wish.artifact)
    account.artifact_bytes = artifact.manifest.bytes
    compatibility.check_ahead(file.config.run.command, artifact)
    return artifact


def _built(file: ConfigFile, line: PendingSession, ui: Ui, account: Account) -> None:
    """One for a certain machine waits for its greeting, unless the machine is known from the last one."""
    target, asks = file.config.server.target, builds.asks_for_the_machine(file)
    meant = known_machines.recall(target) if asks else Machine("", "")
    held = HeldBackOutput(ui, line)
    line.ask_ahead(file.config.spec)
    try:
        with _step(held.step, account, "build"):
            builds.build(file, meant or _machine(line), held.output, line)
            line.ask_ahead(None)
            if asks and meant and meant != _machine(line):
                builds.build(file, _machine(line), ui.output, line)
    except BuildFailed as failed:
        line.show()
        failed.evidence_is_shown = ui.shows_output
        raise
    known_machines.remember(target, _machine(line))


def _machine(line: PendingSession) -> Machine:
    there = line.session.there
    return Machine(there.machine, there.system)


def _until(session: Session, ui: Ui, account: Account, upload: Upload | None = None) -> object:
    """Show events until something has to be done, or all is done."""
    for message in session.events():
        if isinstance(message, Taken) and upload:
            upload.heard(message)
        elif isinstance(message, Step):
            if (message.name, message.state) == ("upload", "done") and upload:
                upload.arrived()
            account.seconds[message.name] = account.seconds.get(message.name, 0.0) + message.seconds
            ui.step(message)
        elif isinstance(message, messages.Note):
            ui.note(message)
        else:
            return message
    raise PipeEnded


@dataclass
class _Phase:
    committed: bool = False


@contextmanager
def _honest(session: Session, account: Account, doing: str) -> Iterator[_Phase]:
    """What a broken pipe and Ctrl-C mean depends on whether commit was said; what is not known is told as unknown."""
    phase = _Phase()
    try:
        yield phase
    except PipeEnded:
        if phase.committed:
            session.leave()
            raise ContactLost("contact lost after commit: how it ended is not known here", hint="teal status") from None
        raise CannotReach("contact lost before commit: nothing was changed", hint="try again") from None
    except KeyboardInterrupt:
        if phase.committed:
            session.leave()
            says = f"interrupted here; the server goes on with the {doing} and finishes it by itself"
            error = Interrupted(says, hint="teal status tells whether it is still at work, and what is live")
            error.outcome = "unknown"
            raise error from None
        raise Interrupted("interrupted; nothing was changed") from None
    finally:
        account.bytes_sent = session.bytes_sent


@contextmanager
def _clock(account: Account, name: str) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    finally:
        account.seconds[name] = time.monotonic() - began


@contextmanager
def _step(tell: Callable[[Step], None], account: Account, name: str) -> Iterator[None]:
    """A step on this side, told like those of the other."""
    tell(Step(name, "started"))
    try:
        with _clock(account, name):
            yield
    except Exception as error:
        tell(Step(name, "failed", account.seconds[name], "stopped" if isinstance(error, HostFailed) else ""))
        raise
    tell(Step(name, "done", account.seconds[name]))
