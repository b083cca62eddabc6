"""Commands that only read: one request, one answer. Nothing is built, nothing is changed."""

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
from teal_host.wire.messages import Done, LogLine
from teal_host.wire.reports import DoctorReport, EnvReport, ReleasesReport, StatusReport
from teal_host.wire.requests import Doctor, EnvList, Logs, Releases, Status


def status(file: ConfigFile) -> StatusReport:
    return expect(_query(file, Status(file.config.app)), StatusReport)


def releases(file: ConfigFile) -> ReleasesReport:
    return expect(_query(file, Releases(file.config.app)), ReleasesReport)


def env(file: ConfigFile) -> EnvReport:
    return expect(_query(file, EnvList(file.config.app)), EnvReport)


def logs(file: ConfigFile, request: Logs, on_line: Callable[[LogLine], None]) -> str:
    """`on_line` gets each line as it arrives; with `follow` until the user presses Ctrl-C. Returns the server side's
    remark on them, if there is one.
    """
    return expect(_query(file, request, on_line), Done).message


def doctor(file: ConfigFile) -> DoctorReport:
    """The findings of the server side; and whether domains and URL lead there, which only the client can see."""
    answer = expect(_query(file, lambda: Doctor(file.config.spec, time.time())), DoctorReport)
    if file.config.server.target == "local":
        return answer
    from teal.stories.entrance import check_entrance  # only here: it imports ssl

    nginx_runs = not any((finding.what, finding.state) == ("nginx", "fault") for finding in answer.findings)
    of_domains = dns.check_domains(file.config.server.domains, answer.addresses)
    of_visitors = check_entrance(file, answer.entrance, nginx_runs)
    return replace(answer, findings=(*answer.findings, *of_domains, *of_visitors))


def _query(file: ConfigFile, request: Any, on_line: Callable[[LogLine], None] = lambda line: None) -> Any:
    """`request` is a message, or a function that makes it once the pipe is open."""
    with open_session(file.config.server.target) as session:
        try:
            session.send(request() if callable(request) else request)
            for message in session.events():
                if isinstance(message, LogLine):
                    on_line(message)
                elif isinstance(message, messages.ANSWERS):
                    return message
        except PipeEnded:
            pass
    raise CannotReach("contact lost before the answer came", hint="try again")
