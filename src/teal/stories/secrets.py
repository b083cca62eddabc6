"""Set or unset one secret of an app on the server. The value travels in the body of a frame, never in its header."""

from dataclasses import dataclass, field
from typing import Any

from teal.building.origin import origin
from teal.config.read import ConfigFile
from teal.ground.errors import ConfigError, ContactLost, Interrupted, StrangeAnswer
from teal.pipe.open import open_session
from teal.pipe.session import PipeEnded, Session, expect
from teal.ui import Ui
from teal_host.wire.messages import Done, Note
from teal_host.wire.requests import EnvSet, EnvUnset, Input


@dataclass(frozen=True)
class Secret:
    name: str
    value: str = field(repr=False)


def set_secret(file: ConfigFile, secret: Secret, wait_s: float, ui: Ui) -> str:
    """Returns the confirmation of the server side. Raises TealError."""
    check_not_declared(file, secret.name)
    return _change(file, EnvSet(file.config.app, secret.name, origin(), wait_s), secret.value, ui)


def unset_secret(file: ConfigFile, name: str, wait_s: float, ui: Ui) -> str:
    """Returns the confirmation of the server side. Raises TealError."""
    return _change(file, EnvUnset(file.config.app, name, origin(), wait_s), None, ui)


def check_not_declared(file: ConfigFile, name: str) -> None:
    """Raises ConfigError for a name that teal.toml sets: the next deploy would be refused."""
    if name in file.config.run.env:
        message = f"{name} is in [run] env of {file.path} already; one place for one name"
        raise ConfigError(message, hint=f"remove it from teal.toml first, then: teal env set {name}")


def _change(file: ConfigFile, request: EnvSet | EnvUnset, value: str | None, ui: Ui) -> str:
    unknown = f"whether {request.name} was changed is not known here"
    with open_session(file.config.server.target) as session:
        try:
            session.send(request)
            if value is not None:
                session.send(Input(last=True), value.encode())
            return _receive_confirmation(session, ui)
        except PipeEnded:
            raise ContactLost(f"contact lost: {unknown}", hint="teal env list") from None
        except StrangeAnswer as error:
            raise error.lost(unknown, "teal env list") from None
        except KeyboardInterrupt:
            session.detach()
            raise Interrupted(f"interrupted: {unknown}", hint="teal env list") from None


def _receive_confirmation(session: Session, ui: Ui) -> str:
    answer: Any = None
    for answer in session.events():
        if isinstance(answer, Note):
            ui.note(answer)
    return expect(answer, Done).message
