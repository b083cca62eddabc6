"""Look at an app: one question, one answer. Nothing is built, nothing is changed."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from teal.config.read import ConfigFile
from teal.ground import dns
from teal.ground.errors import CannotReach
from teal.pipe.open import open_session
from teal.pipe.session import PipeEnded, expect
from teal_host.wire import messages
from teal_host.wire.messages import Doctor, Done, EnvList, LogLine, Logs, Releases, Status
from teal_host.wire.reports import DoctorReport, EnvReport, ReleasesReport, StatusReport


def status(file: ConfigFile) -> StatusReport:
    return expect(_ask(file, Status(file.config.app)), StatusReport)


def releases(file: ConfigFile) -> ReleasesReport:
    return expect(_ask(file, Releases(file.config.app)), ReleasesReport)


def env(file: ConfigFile) -> EnvReport:
    return expect(_ask(file, EnvList(file.config.app)), EnvReport)


def logs(file: ConfigFile, request: Logs, tell: Callable[[LogLine], None]) -> None:
    """Each line is told as it comes; with `follow` until the user has enough."""
    expect(_ask(file, request, tell), Done)


def doctor(file: ConfigFile) -> DoctorReport:
    """What the server side found, and what can be seen only from here: where the domains lead."""
    answer = expect(_ask(file, lambda: Doctor(file.config.spec, time.time())), DoctorReport)
    if file.config.server.target == "local":
        return answer
    seen_from_here = dns.check_domains(file.config.server.domains, answer.addresses)
    return replace(answer, findings=(*answer.findings, *seen_from_here))


def _ask(file: ConfigFile, request: Any, tell: Callable[[LogLine], None] = lambda line: None) -> Any:
    """`request`, or what makes it once the pipe is open."""
    with open_session(file.config.server.target) as session:
        try:
            session.send(request() if callable(request) else request)
            for message in session.events():
                if isinstance(message, LogLine):
                    tell(message)
                elif isinstance(message, messages.ANSWERS):
                    return message
        except PipeEnded:
            pass
    raise CannotReach("contact lost before the answer came", hint="try again")
