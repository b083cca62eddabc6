"""The story of setup on the client: get the plan, show it, have overwritten edits confirmed, commit."""

import base64
import contextlib
import hashlib
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from teal.building.origin import origin
from teal.config.read import ConfigFile
from teal.ground.challenge import Challenge, see_names
from teal.ground.errors import CannotReach, ConfigError, ContactLost, StrangeAnswer
from teal.pipe.open import open_session
from teal.pipe.session import PipeEnded, Session, expect
from teal.ui.base import Ui
from teal_host.wire.grammar import KeyWord, key_digest, public_key
from teal_host.wire.messages import ANSWERS, AskNames, Done, Note, Plan, Step
from teal_host.wire.reports import HttpsReport
from teal_host.wire.requests import Commit, NamesSeen, Setup

HOW_OF_CA = "teal setup --deploy-ca CA.pub --principal NAME"
_NO_CERTIFICATE = "no certificate is revoked alone, only all of its CA: teal setup --remove-key CA.pub"
_LONGEST_NAME = 255  # bytes; no file system of Linux or macOS has a longer one


@dataclass(frozen=True)
class SetupOptions:
    """What the command line says. `deploy_key` is the file of a public key that may deploy the app from now on, or what
    `may` names; `deploy_ca` that of a CA, whose certificates for one of the `principals` may; `revoked_key` is such a
    file, or the fingerprint, of a key that may no longer.
    """

    deploy_key: Path | None = None
    deploy_ca: Path | None = None
    principals: tuple[str, ...] = ()
    may: tuple[KeyWord, ...] = ()
    revoked_key: str | None = None
    dry_run: bool = False
    wait_s: float = 0.0


@dataclass(frozen=True)
class SetupEnd:
    """The plan that was done, or would be, and whether visitors have HTTPS."""

    plan: Plan
    https: HttpsReport | None = None


def setup(file: ConfigFile, options: SetupOptions, ui: Ui, confirm: Callable[[Plan], None]) -> SetupEnd:
    """`confirm` raises to stop before the plan is done. Raises TealError."""
    path = options.deploy_key or options.deploy_ca
    key = read_key(path) if path else None
    revoked = _fingerprint(options.revoked_key) if options.revoked_key else None
    with open_session(file.config.server.target) as session:
        try:
            asked = Setup(file.config.spec, origin(), key, revoked, options.dry_run, options.wait_s)
            session.send(replace(asked, may=options.may, principals=options.principals))
            plan = expect(_receive(session, ui, Plan), Plan)
        except PipeEnded:
            raise CannotReach("contact lost before commit: nothing was changed", hint="try again") from None
        if options.dry_run or not plan.changes:
            with contextlib.suppress(PipeEnded):  # the plan is whole; only what visitors have is not known
                return SetupEnd(plan, expect(_receive(session, ui, Done), Done).https)
            return SetupEnd(plan)
        confirm(plan)
        return SetupEnd(plan, _commit(session, ui, file.config.server.site.names))


def _commit(session: Session, ui: Ui, names: Sequence[str]) -> HttpsReport | None:
    unknown = "how far setup came is not known here; repeated, it does what is missing"
    hint = "try again"
    try:
        session.send(Commit())
        message = _receive(session, ui, Done, AskNames)
        if isinstance(message, AskNames):
            challenge = Challenge(message.file, message.content, message.addresses)
            session.send(NamesSeen(tuple(see_names(names, challenge))))
            message = _receive(session, ui, Done)
        return expect(message, Done).https
    except PipeEnded:
        raise ContactLost(f"contact lost: {unknown}", hint=hint) from None
    except StrangeAnswer as error:
        raise error.lost(unknown, hint) from None


def read_key(path: Path, is_revoked: bool = False) -> str:
    """The one line of a public key file. Raises ConfigError, also for a private key, whose text is never shown."""
    if "\n" in str(path) or len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise ConfigError("a key is named by its file, and this is no name of a file", hint="check the path")
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(f"there is no readable public key at {path}", hint=_key_hint(path)) from None
    if "PRIVATE KEY" in text:
        raise ConfigError(f"{path} is a private key; the server needs the public half", hint=f"name that: {path}.pub")
    complaint = public_key(text)
    if complaint:
        how = _NO_CERTIFICATE if is_revoked else HOW_OF_CA
        raise ConfigError(f"{path} {complaint}", hint=how if "certificate" in complaint else "")
    return text


def _key_hint(path: Path) -> str:
    """How the file comes to be there. No key that exists is made anew."""
    if path.suffix != ".pub" and os.path.isfile(f"{path}.pub"):  # noqa: PTH113 - Path's raises for a name that is too long
        return f"name that: {path}.pub"
    if path.suffix != ".pub" or os.path.lexists(path) or not os.access(path.parent, os.W_OK | os.X_OK):
        return "check the path"
    private = shlex.quote(str(path.with_suffix("")))
    if os.path.lexists(path.with_suffix("")):
        return f"ssh-keygen -y -f {private} > {shlex.quote(str(path))}"
    return f"ssh-keygen -t ed25519 -N '' -f {private}"


def _fingerprint(key: str) -> str:
    """As OpenSSH shows it. Raises ConfigError for what is neither a fingerprint nor a public key file."""
    if key_digest(key) is None:
        return key
    digest = hashlib.sha256(base64.b64decode(read_key(Path(key), is_revoked=True).split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _receive(session: Session, ui: Ui, *kinds: type) -> object:
    for message in session.events():
        if isinstance(message, Step):
            ui.step(message)
        elif isinstance(message, Note):
            ui.note(message)
        elif isinstance(message, (*kinds, *ANSWERS)):
            return message
    raise PipeEnded
