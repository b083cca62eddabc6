"""The way in: greet, read one request, find its story, answer. The one place where an error becomes a message."""

import argparse
import os
import platform
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, List, Optional

from teal_host import deploy, destroy, env, logs, one_off, rollback, status
from teal_host.app import Host
from teal_host.errors import Aborted, HostError, NotAllowed, as_host_error
from teal_host.paths import HostPaths
from teal_host.proxies.own_nginx import OwnNginx
from teal_host.supervisors.process import PlainProcesses
from teal_host.talk import Talk
from teal_host.wire import messages
from teal_host.wire.messages import Failure, Greeting

SYNC = b"\nTEAL-HOST-1\n"  # comes before the first frame; whatever a login script said before it is noise


def main(argv: List[str], incoming: BinaryIO, outgoing: BinaryIO) -> int:
    """Serve one request of one client."""
    talk = Talk(incoming, outgoing)
    _outlive_the_client(talk)
    try:
        outgoing.write(SYNC)
        talk.tell(Greeting(platform.python_version(), sys.platform, platform.machine(), os.getpid()))
        request = talk.receive(*messages.REQUESTS)
        answer = _serve(_host(argv, talk), request, talk)
    except HostError as error:
        answer = error.failure()
    except Exception as error:  # noqa: BLE001 - the boundary: a user never sees a traceback
        answer = _unexpected(error)
    return _answer(talk, answer)


def _serve(host: Host, request: Any, talk: Talk) -> Any:
    if isinstance(request, messages.Deploy):
        return deploy.deploy(host.app(request.spec.app), request, talk)
    stories: Dict[Any, Callable[[], Any]] = {
        messages.Rollback: lambda: rollback.rollback(app, request, talk),
        messages.Status: lambda: status.status(app),
        messages.Releases: lambda: status.releases(app),
        messages.Logs: lambda: logs.logs(app, request, talk.listening),
        messages.EnvSet: lambda: env.set_value(app, request, talk),
        messages.EnvUnset: lambda: env.unset(app, request, talk),
        messages.EnvList: lambda: env.names(app),
        messages.Exec: lambda: one_off.one_off(app, request, talk),
        messages.Destroy: lambda: _alone(talk, lambda: destroy.destroy(app, request)),
    }
    app = host.app(request.app)
    return stories[type(request)]()


def _alone(talk: Talk, story: Callable[[], Any]) -> Any:
    """A story that nobody needs to listen to: it is finished in any case."""
    talk.committed = True
    return story()


def _host(argv: List[str], talk: Talk) -> Host:
    parser = argparse.ArgumentParser(prog="teal-host")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--nginx", default=None)
    given = parser.parse_args(argv)
    if not sys.platform.startswith("linux"):
        raise NotAllowed(f"this machine runs {sys.platform}; apps run on Linux only")
    paths = HostPaths(given.root)
    return Host(paths, PlainProcesses(), OwnNginx(paths.nginx, given.nginx), talk.tell)


def _outlive_the_client(talk: Talk) -> None:
    """A lost terminal or pipe must not end a story half-way; being told to end is obeyed only before the commit."""
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, lambda number, frame: None)  # not SIG_IGN, which every program started here would inherit

    def told_to_end(number: int, frame: Optional[object]) -> None:
        if not talk.committed:
            raise Aborted("the server side was told to end")

    signal.signal(signal.SIGTERM, told_to_end)


def _unexpected(error: Exception) -> Failure:
    if isinstance(error, OSError):
        return as_host_error(error).failure()
    where = traceback.extract_tb(error.__traceback__)[-1]
    text = f"unexpected on the server side: {type(error).__name__}: {error}"
    return Failure("unexpected", text, (f"at {where.name} in {Path(where.filename).name}:{where.lineno}",))


def _answer(talk: Talk, answer: Any) -> int:
    talk.tell(answer)
    return 1 if isinstance(answer, Failure) else 0
