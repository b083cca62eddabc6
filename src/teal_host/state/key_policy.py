"""What a deploy key may do, and the line that each try of a key leaves in the app's audit.

sshd and sudo fix the app and the key in the arguments of the server side. What the client says of itself is ignored.
"""

import contextlib
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Dict, Optional, Sequence

from teal_host.ground import files, lock
from teal_host.ground.errors import BadRequest, NotAllowed
from teal_host.ground.journal import now
from teal_host.ground.paths import AppPaths, HostPaths
from teal_host.state import agreement, footprint, key_places, ssh_login
from teal_host.state.deploy_keys import fingerprint_in, is_of_ca
from teal_host.state.ssh_login import Certificate
from teal_host.wire.app import AppSpec
from teal_host.wire.messages import Failure, Result
from teal_host.wire.requests import Deploy, Intended, Logs, Releases, Rollback, Status
from teal_host.wire.values import dataclass

A_DAY, CHANGES_A_DAY = 2000, 1000  # lines of one key: about a megabyte at most. A change has two
_BEGUN = 16  # more lines, for the ends of what was allowed to begin
_SHOWN, _ANSWERED = 80, 300  # bytes of what a client says of itself, and of an answer
MOST = 4 * 1024 * 1024  # bytes of the audit: some 16,000 uses of a key
_NICE = 15
OF_A_CERTIFICATE_S = 3600  # from the begin of its connection
_CHANGE = (Deploy, Rollback)
_ALLOWED = (Intended, Deploy, Rollback, Status, Releases, Logs)


@dataclass(frozen=True)
class KeyPolicy:
    """`key` is the word of a DeployKey."""

    app: str
    key: str

    def enter(self, host: HostPaths) -> None:
        """Before anything of the client is read. Raises NotAllowed for too many connections."""
        if is_of_ca(self.key):
            ssh_login.connection()
        key_places.take(host, self.key)

    def remaining_s(self) -> float:
        """How long this connection may still ask. sshd looks at the end of a certificate only when it begins."""
        return OF_A_CERTIFICATE_S - ssh_login.age_s() if is_of_ca(self.key) else float("inf")

    def bounded(self, request: Any) -> Any:
        """The request, which waits for a lock no longer than this connection may ask."""
        most = max(0.0, self.remaining_s())
        return replace(request, wait_s=most) if getattr(request, "wait_s", 0.0) > most else request

    def check(self, host: HostPaths, request: Any) -> None:
        """Raises NotAllowed."""
        _check_is_recent(self.remaining_s())
        if isinstance(request, Deploy) and request.evict:
            message = "a deploy key may not do this: deploy --evict"
            raise NotAllowed(message, hint="log in as the server's admin for that")
        app = request.spec.app if isinstance(request, (Intended, Deploy)) else getattr(request, "app", None)
        if not isinstance(request, _ALLOWED):
            message = f"a deploy key may not do this: {_typed(request)}"
            raise NotAllowed(message, hint="log in as the server's admin for that")
        if app != self.app:
            raise NotAllowed(f"this key may deploy {self.app}, not {app}")
        known = {key.word: key for key in footprint.load(host.app(self.app)).deploy_keys}
        if self.key not in known:
            raise NotAllowed(f"this key may no longer deploy {self.app}")  # revoked while its connection was open
        _check_is_for_this(known[self.key].may, request)
        if isinstance(request, (Intended, Deploy)):
            _check_is_agreed(host.app(self.app), request.spec)
        if isinstance(request, _CHANGE):
            if self._lines_today(host, request) >= CHANGES_A_DAY:
                message = (
                    f"this key has {CHANGES_A_DAY} lines of changes in today's audit, which is all that a key gets"
                )
                raise NotAllowed(message, hint="log in as the server's admin, or wait until tomorrow (UTC)")
            self.note(host, request, None)  # the audit shows the begin even if this process is killed

    def note(self, host: HostPaths, request: Optional[Any], answer: Any) -> None:
        """Write a line into the app's audit: when, which key, which request, how it ended. It quotes no request."""
        paths = host.app(self.app)
        most = CHANGES_A_DAY + _BEGUN if isinstance(request, _CHANGE) else A_DAY
        if self._lines_today(host, request) >= most:
            return
        origin = getattr(request, "origin", None)
        who = f"{_clipped(origin.who)}@{_clipped(origin.machine)}" if origin else ""
        author = {"who": who, "commit": _clipped(origin.commit)} if origin else {}
        release = getattr(answer, "release", None)
        about = {**author, "release": release} if release else author
        line: Dict[str, Any] = {
            "at": now(),
            "key": self.fingerprint,
            "did": _did(request),
            "ended": _ended(answer),
            **about,
        }
        if is_of_ca(self.key):
            line["certificate"] = _shown(ssh_login.certificate(self.fingerprint))
        with contextlib.suppress(FileNotFoundError):  # of an app that is gone there is no audit
            _make_room(paths.audit)
            files.append_line(paths.audit, json.dumps(line, ensure_ascii=False), mode=0o600)

    def _lines_today(self, host: HostPaths, request: Any) -> int:
        """How many lines of this kind the key has already. No key pushes the lines of another, or its own, out of the
        audit by using it often.
        """
        audit = host.app(self.app).audit
        changes = "|".join(_typed(kind) for kind in _CHANGE)
        kind = f"(?:{changes})" if isinstance(request, _CHANGE) else f'(?!(?:{changes})")[^"]*'
        begins = f'{{"at": "{now()[:10]}[^"]*", "key": "{re.escape(self.fingerprint)}", "did": "{kind}"'
        files_of_it = (audit, audit.with_name(f"{audit.name}.1"))
        return sum(len(re.findall(begins, files.text_of(path) or "")) for path in files_of_it)

    @property
    def fingerprint(self) -> str:
        """The fingerprint of the key, as OpenSSH shows it."""
        return fingerprint_in(self.key)


def _check_is_recent(remaining_s: float) -> None:
    if remaining_s == -float("inf"):
        message = "the connection was gone before the server side began, so the age of its certificate is not known"
        raise NotAllowed(message, hint="the same command again")
    if remaining_s < 0:
        message = f"this connection is older than {OF_A_CERTIFICATE_S} s, and its certificate may have expired"
        raise NotAllowed(
            message, hint="end the connection that ssh shares (ssh -O exit HOST), then the same command again"
        )


def _check_is_for_this(words: Sequence[str], request: Any) -> None:
    """A key that changes nothing also leaves the processor to the programs that serve. Raises NotAllowed."""
    if words and _typed(request) not in words:
        message = f"this key is for {', '.join(words)} alone: {_typed(request)}"
        raise NotAllowed(message, hint="use a key that may deploy, or log in as the server's admin")
    if words and not {"deploy", "rollback"} & {*words}:
        os.nice(_NICE)


def _check_is_agreed(paths: AppPaths, spec: AppSpec) -> None:
    agreed = agreement.load(paths)
    exceeded = list(agreed.keys.exceeded(spec)) if agreed and agreed.keys else []
    if exceeded:
        message = f"a deploy key may not ask for more than setup agreed: {exceeded[0].partition(':')[0]}"
        raise BadRequest(message, exceeded, "teal setup (as the server's admin), then the same command again")


def _make_room(audit: Path) -> None:
    """Rename a long audit to `audit.1`. A monitor that asks for the status each minute writes a line each time.

    Several connections write at once. A connection that opened the file before the rename writes into `audit.1`.
    """
    if files.size_of(audit) > MOST:
        with lock.alone(audit) as taken:
            if taken and files.size_of(audit) > MOST:
                files.move(audit, audit.with_name(f"{audit.name}.1"))


def _typed(request: Any) -> str:
    """The command that a person types for this request, such as `env set`."""
    kind = request if isinstance(request, type) else type(request)
    return "deploy" if kind is Intended else re.sub("(?<=.)(?=[A-Z])", " ", kind.__name__).lower()


def _did(request: Any) -> str:
    """The word in the audit. A deploy that was only announced has another word than a deploy, so it is no change."""
    if request is None:
        return "nothing that could be understood"
    return "deploy, announced" if isinstance(request, Intended) else _typed(request)


def _clipped(text: str, most: int = _SHOWN) -> str:
    """So that no letter takes more bytes in the audit than in the text, a letter that is not printed is left out."""
    printed = "".join(letter for letter in text if letter.isprintable())
    return printed.encode("utf-8", "ignore")[:most].decode("utf-8", "ignore")


def _shown(certificate: Optional[Certificate]) -> Optional[Certificate]:
    """A CA chooses the id of a certificate freely."""
    return {**certificate, "id": _clipped(str(certificate["id"]))} if certificate else None


def _ended(answer: Any) -> str:
    if answer is None:
        return "not yet"
    if isinstance(answer, Failure):
        return f"{answer.code}: {_clipped(answer.message, _ANSWERED)}"
    return answer.outcome if isinstance(answer, Result) else "answered"
