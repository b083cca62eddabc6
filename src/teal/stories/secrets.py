"""Set or unset one name of an app's environment on the server. Its value travels in a body, never in a message."""

from typing import Any

from teal.building.origin import origin
from teal.config.read import ConfigFile
from teal.ground.errors import ConfigError, ContactLost, Interrupted
from teal.pipe.open import open_session
from teal.pipe.session import PipeEnded, Session, expect
from teal.ui import Ui
from teal_host.wire.messages import Done, EnvSet, EnvUnset, Input, Note


def set_secret(file: ConfigFile, name: str, value: str, wait_s: float, ui: Ui) -> str:
    """Gives what the server side says about it. Raises TealError."""
    check_not_declared(file, name)
    return _change(file, EnvSet(file.config.app, name, origin(), wait_s), value, ui)


def unset_secret(file: ConfigFile, name: str, wait_s: float, ui: Ui) -> str:
    """Raises TealError."""
    return _change(file, EnvUnset(file.config.app, name, origin(), wait_s), None, ui)


def check_not_declared(file: ConfigFile, name: str) -> None:
    """Raises ConfigError for a name that teal.toml has: a deploy would be refused."""
    if name in file.config.run.env:
        text = f"{name} is in [run] env of {file.path} already; one place for one name"
        raise ConfigError(text, hint=f"take it out there first, then: teal env set {name}")


def _change(file: ConfigFile, request: EnvSet | EnvUnset, value: str | None, ui: Ui) -> str:
    unknown = f"whether {request.name} was changed is not known here"
    with open_session(file.config.server.target) as session:
        try:
            session.send(request)
            if value is not None:
                session.send(Input(last=True), value.encode())
            return _done(session, ui)
        except PipeEnded:
            raise ContactLost(f"contact lost: {unknown}", hint="teal env list") from None
        except KeyboardInterrupt:
            session.leave()
            raise Interrupted(f"interrupted: {unknown}", hint="teal env list") from None


def _done(session: Session, ui: Ui) -> str:
    answer: Any = None
    for answer in session.events():
        if isinstance(answer, Note):
            ui.note(answer)
    return expect(answer, Done).said
