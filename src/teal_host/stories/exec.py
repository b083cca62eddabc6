"""The story of `teal exec`: one command runs in the sandbox of the app, and its bytes travel both ways."""

from typing import Dict, Optional, Tuple

from teal_host.ground import run
from teal_host.ground.errors import NotThere
from teal_host.ground.run import Command
from teal_host.pipe import stdio_relay
from teal_host.pipe.channel import Channel
from teal_host.state.app import App
from teal_host.steps import candidate
from teal_host.steps.candidate import Candidate
from teal_host.steps.scene import read_scene
from teal_host.supervisors import one_off
from teal_host.wire.messages import Exited
from teal_host.wire.requests import Exec

_NOT_EXECUTABLE, _NOT_FOUND = 126, 127  # as a shell says it
_CODES = {"not_found": _NOT_FOUND, "not_executable": _NOT_EXECUTABLE}


def run_command(app: App, request: Exec, channel: Channel) -> Exited:
    """Raises NotThere when nothing is live."""
    live, user = _live(app)
    command = _command(live, user, request)
    try:
        child = one_off.spawn(live.slot_paths, command, _CODES) if user else run.spawn_piped(command)
    except OSError as error:
        return _not_started(command, error)
    return Exited(stdio_relay.relay(channel, child))


def _command(live: Candidate, user: Optional[str], request: Exec) -> Command:
    """Without PORT, PORT2 and SOCKET: a command that listened would take the place of the app."""
    at = {name.upper() for name in live.places}
    env = {name: value for name, value in candidate.environment_of(live).items() if name not in at}
    return Command(request.command, {**_base(user, live), **env}, live.paths.release(live.release), user)


def _live(app: App) -> Tuple[Candidate, Optional[str]]:
    """The live release, and whom it runs as; None: whoever runs this."""
    scene = read_scene(app)
    if scene.live_candidate is None or scene.agreement is None:
        raise NotThere(
            f"nothing of {app.name} is live here, so there is nothing to run a command as", hint="teal deploy"
        )
    return scene.live_candidate, scene.agreement.user


def _base(user: Optional[str], live: Candidate) -> Dict[str, str]:
    """What the app's supervisor gives it beside what is Teal's."""
    if user is None:
        return run.passed_on()
    return {"PATH": run.SYSTEM_PATH, "HOME": str(live.paths.data), "USER": user, "LOGNAME": user}


def _not_started(command: Command, error: OSError) -> Exited:
    name = command.argv[0]
    exists = "/" in name and (command.cwd / name).is_file()
    code = _NOT_FOUND if isinstance(error, FileNotFoundError) and not exists else _NOT_EXECUTABLE
    return Exited(code, f"{name} cannot be started: {run.why(error, name, command.cwd)}")
