"""Behind the greeting: read one request, find its story, answer. The one place where an error becomes a message."""

import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, List, Optional

from teal_host.ground import overtaking, run
from teal_host.ground.errors import Cancelled, HostError, NotAllowed, as_host_error
from teal_host.ground.paths import HostPaths
from teal_host.pipe.channel import (
    A_PERSON_READS_WITHIN_S,
    FIRST_WITHIN_S,
    OF_A_KEY_WITHIN_S,
    UPLOAD_OF_A_KEY_WITHIN_S,
    Channel,
)
from teal_host.provisioning.local import LocalProvisioning
from teal_host.provisioning.server import ServerProvisioning
from teal_host.proxies.local_nginx import LocalNginx
from teal_host.proxies.system_nginx import SystemNginx
from teal_host.state.app import App, Host, Tell
from teal_host.state.key_policy import KeyPolicy
from teal_host.stories import deploy, recover, rollback, status
from teal_host.supervisors.process import PlainProcesses
from teal_host.supervisors.systemd import Systemd
from teal_host.wire import messages, requests
from teal_host.wire.messages import Failure
from teal_host.wire.values import dataclass

_OPTIONS = ("--server", "--root", "--nginx", "--app", "--key")


def main(argv: List[str], incoming: BinaryIO, outgoing: BinaryIO) -> int:
    """Serve one request of one client."""
    channel = Channel(incoming, outgoing)
    _outlive_the_client(channel)
    given = _arguments(argv)
    request = None
    try:
        request = channel.receive(*requests.REQUESTS, within_s=_enter(given, channel))
        host = _host(given, channel)
        _permitted(given, host, request)
        if isinstance(request, requests.Intended):
            _foresee(host, request)
            request = channel.receive(requests.Deploy, within_s=FIRST_WITHIN_S)
            _permitted(given, host, request)
        answer = _serve(host, given.permit.bounded(request) if given.permit else request, channel)
    except HostError as error:
        answer = error.failure()
    except Exception as error:  # noqa: BLE001 - the boundary: a user never sees a traceback
        answer = _unexpected(error)
    _note(given, channel, request, answer)
    return _answer(channel, answer)


def _enter(given: "Given", channel: Channel) -> float:
    """The seconds within which the first word must come. Raises NotAllowed."""
    if given.permit is None:
        return FIRST_WITHIN_S
    _check_is_root(given)
    run.use_environment_of_the_system()  # the audit asks the system's log
    given.permit.enter(HostPaths(given.root))
    channel.is_of_key, channel.upload_within_s = True, UPLOAD_OF_A_KEY_WITHIN_S
    channel.listens_until = time.monotonic() + given.permit.remaining_s()
    return OF_A_KEY_WITHIN_S


def _permitted(given: "Given", host: Host, request: Any) -> None:
    if given.permit:
        given.permit.check(host.paths, request)


def _foresee(host: Host, request: requests.Intended) -> None:
    """Check what the configuration alone decides, so that nobody waits for a build in vain."""
    app = host.app(request.spec.app)
    host.provisioning.check_is_set_up(app.paths)
    deploy.check_before_build(app, request.spec)


def at_boot(name: str) -> int:
    """Clean up what a reboot or a power outage has interrupted."""
    overtaking.listen()
    try:
        recover.at_boot(_server(HostPaths(Path("/")), _say).app(name))
    except (HostError, OSError) as error:
        sys.stderr.write(f"teal: {as_host_error(error).message}\n")
        return 1
    return 0


def renew_certificates() -> int:
    """For every app. certbot's hook and a timer start this, and neither is asked."""
    from teal_host.stories import certificates

    run.use_environment_of_the_system()
    return certificates.renew(HostPaths(Path("/")))


def _say(message: Any) -> None:
    """Into the system's log."""
    if isinstance(message, messages.Note):
        sys.stderr.write(f"teal: {message.text}\n")


def _note(given: "Given", channel: Channel, request: Any, answer: Any) -> None:
    try:
        if given.permit:
            given.permit.note(HostPaths(given.root), request, answer)
    except OSError as error:  # such as a full disk; what was done is done
        channel.tell(messages.Note("warning", f"the server could not write its audit: {error.strerror}"))


@dataclass(frozen=True)
class Given:
    """What this side was started with: by a client, by sshd for a deploy key, or by a test."""

    root: Path
    nginx: Optional[str]
    server: bool
    permit: Optional[KeyPolicy]


def _arguments(argv: List[str]) -> Given:
    """`--server`: this machine itself, with systemd and its own nginx. `--root`: a directory of a user's own, with
    plain processes and `--nginx`. `--app` and `--key` are a deploy key's. Only Teal types them, each once."""
    given: Dict[str, str] = {}
    words = iter(argv)
    for word in words:
        if word not in _OPTIONS or word in given:
            raise SystemExit(f"teal-host: {word[:40]!r} is not expected here")
        given[word] = "" if word == "--server" else next(words, "")
    if ("--server" in given) == bool(given.get("--root")) or bool(given.get("--key")) != bool(given.get("--app")):
        raise SystemExit("teal-host: either --server or --root PATH; and --key only with --app")
    permit = KeyPolicy(given["--app"], given["--key"]) if "--key" in given else None
    return Given(Path(given.get("--root", "/")), given.get("--nginx"), "--server" in given, permit)


def _serve(host: Host, request: Any, channel: Channel) -> Any:
    app = host.app(request.spec.app if hasattr(request, "spec") else request.app)
    if not isinstance(request, (requests.Setup, requests.Doctor, requests.Destroy)):
        host.provisioning.check_is_set_up(app.paths)
    if isinstance(request, requests.Deploy):
        return deploy.deploy(app, request, channel)
    if isinstance(request, requests.Status):
        return status.status(app)
    if isinstance(request, requests.Rollback):
        return rollback.rollback(app, request, channel)
    return _seldom(app, request, channel)


def _seldom(app: App, request: Any, channel: Channel) -> Any:
    """Imported here, because no other command should wait for it."""
    from teal_host.stories import destroy, doctor, logs, secrets, setup
    from teal_host.stories.exec import run_command

    if isinstance(request, (requests.Logs, requests.Exec)):  # into a pager, perhaps
        channel.taken_within_s = A_PERSON_READS_WITHIN_S
    stories: Dict[Any, Callable[[], Any]] = {
        requests.Setup: lambda: setup.setup(app, request, channel),
        requests.Doctor: lambda: doctor.doctor(app, request),
        requests.Releases: lambda: status.list_releases(app),
        requests.Logs: lambda: logs.logs(app, request, channel.listening),
        requests.EnvSet: lambda: secrets.set_secret(app, request, channel),
        requests.EnvUnset: lambda: secrets.unset_secret(app, request, channel),
        requests.EnvList: lambda: secrets.list_secrets(app),
        requests.Exec: lambda: run_command(app, request, channel),
        requests.Destroy: lambda: _alone(channel, lambda: destroy.destroy(app, request)),
    }
    return stories[type(request)]()


def _alone(channel: Channel, story: Callable[[], Any]) -> Any:
    """Finish the story in any case, also when nobody listens."""
    channel.committed = True
    return story()


def _host(given: Given, channel: Channel) -> Host:
    """The one place that chooses the seams."""
    if not sys.platform.startswith("linux"):
        raise NotAllowed(f"this machine runs {sys.platform}; apps run on Linux only")
    paths = HostPaths(given.root)
    if not given.server:
        nginx = LocalNginx(paths.nginx, given.nginx)
        return Host(paths, PlainProcesses(), nginx, LocalProvisioning(paths, nginx), channel.tell)
    _check_is_root(given)
    if not Path("/run/systemd/system").is_dir():
        raise NotAllowed("this server does not run systemd, which keeps the programs")
    return _server(paths, channel.tell)


def _check_is_root(given: Given) -> None:
    if given.server and os.geteuid() != 0:
        raise NotAllowed("on a server this needs root")  # stage 0 became root


def _server(paths: HostPaths, tell: Tell) -> Host:
    run.use_environment_of_the_system()
    nginx = SystemNginx(paths)
    return Host(paths, Systemd(), nginx, ServerProvisioning(paths, nginx), tell)


def _outlive_the_client(channel: Channel) -> None:
    """A lost terminal or pipe must not end a story half-way; being told to end is obeyed only before the commit."""
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGINT):
        signal.signal(number, lambda number, frame: None)  # not SIG_IGN, which every program started here would inherit

    def told_to_end(number: int, frame: Optional[object]) -> None:
        if not channel.committed:
            raise Cancelled("the server side was told to end")

    signal.signal(signal.SIGTERM, told_to_end)
    overtaking.listen()


def _unexpected(error: Exception) -> Failure:
    if isinstance(error, OSError):
        return as_host_error(error).failure()
    where = traceback.extract_tb(error.__traceback__)[-1]
    text = f"unexpected on the server side: {type(error).__name__}: {error}"
    return Failure("unexpected", text, (f"at {where.name} in {Path(where.filename).name}:{where.lineno}",))


def _answer(channel: Channel, answer: Any) -> int:
    channel.tell(answer)
    return 1 if isinstance(answer, Failure) else 0
