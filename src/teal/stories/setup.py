"""The story of setup on this side: ask for the plan, show it, have a hand's edits confirmed, say commit."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from teal.building.origin import origin
from teal.config.read import ConfigFile
from teal.ground.errors import CannotReach, ConfigError
from teal.pipe.open import open_session
from teal.pipe.session import PipeEnded, Session, expect
from teal.ui.base import Ui
from teal_host.wire.grammar import key_digest, public_key
from teal_host.wire.messages import ANSWERS, Commit, Done, Note, Plan, Setup, Step


@dataclass(frozen=True)
class SetupOptions:
    """What was asked for on the command line. `key`: a file with the public half of a deploy key to be let in;
    `no_key`: such a file, or the fingerprint, of one that is let in no more."""

    key: Path | None = None
    no_key: str | None = None
    dry_run: bool = False
    wait_s: float = 0.0


def setup(file: ConfigFile, wish: SetupOptions, ui: Ui, agreed: Callable[[Plan], bool]) -> Plan:
    """Gives what was done, or would be. `agreed` shows the plan and says whether to go on. Raises TealError."""
    key = read_key(wish.key) if wish.key else None
    no_key = _fingerprint(wish.no_key) if wish.no_key else None
    with open_session(file.config.server.target) as session:
        try:
            session.send(Setup(file.config.spec, origin(file.directory), key, no_key, wish.dry_run, wish.wait_s))
            plan = expect(_until(session, ui, Plan), Plan)
            if plan.changes and not wish.dry_run and agreed(plan):
                session.send(Commit())
                expect(_until(session, ui, Done), Done)
        except PipeEnded:
            raise CannotReach(
                "contact lost", hint="teal setup can be repeated: it does what is still missing"
            ) from None
    return plan


def read_key(path: Path) -> str:
    """The one line of a public key file. Raises ConfigError, also for a private key, whose text is never shown."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"there is no public key that can be read at {path}", hint="ssh-keygen -t ed25519") from None
    if "PRIVATE KEY" in text:
        raise ConfigError(f"{path} is a private key; the server wants the public half", hint=f"{path}.pub")
    complaint = public_key(text)
    if complaint:
        raise ConfigError(f"{path} {complaint}")
    return text


def _fingerprint(wanted: str) -> str:
    """As OpenSSH shows it. Raises ConfigError for what is neither one nor a public key file."""
    if key_digest(wanted) is None:
        return wanted
    digest = hashlib.sha256(base64.b64decode(read_key(Path(wanted)).split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _until(session: Session, ui: Ui, wanted: type) -> object:
    for message in session.events():
        if isinstance(message, Step):
            ui.step(message)
        elif isinstance(message, Note):
            ui.note(message)
        elif isinstance(message, (wanted, *ANSWERS)):
            return message
    raise PipeEnded
