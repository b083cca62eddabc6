"""Run the build command here, never on the server."""

import os
from collections import deque
from collections.abc import Callable

from teal.building.known_machines import Machine
from teal.config.model import BUILD_PLACEHOLDERS
from teal.config.read import ConfigFile
from teal.ground import run
from teal.ground.errors import BuildFailed
from teal.ground.run import Alongside, Callbacks

_LAST_LINES = 20
_GOARCH = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "armv8l": "arm",
    "armv7l": "arm",
    "armv6l": "arm",
    "armv5tel": "arm",
    "i686": "386",
    "i586": "386",
    "i386": "386",
    "loongarch64": "loong64",
}


def names_machine(file: ConfigFile) -> bool:
    """Does the build command name the machine to build for, by a placeholder?"""
    words = [*file.config.build.command, *file.config.build.env.values()]
    return any(f"{{{name}}}" in word for word in words for name in BUILD_PLACEHOLDERS)


def build(
    file: ConfigFile, machine: Machine, on_line: Callable[[str], None], alongside: Alongside | None = None
) -> None:
    """Build for this machine, and pass on each line of output. Raises BuildFailed with the last lines."""
    command = file.config.build.command
    if not command:
        return
    values = placeholders(machine)
    argv = [fill(argument, values) for argument in command]
    env = {**os.environ, **{name: fill(value, values) for name, value in file.config.build.env.items()}}
    last: deque[str] = deque(maxlen=_LAST_LINES)

    def pass_on(line: str) -> None:
        last.append(line)
        on_line(line)

    try:
        code = run.stream(argv, file.directory, env, Callbacks(pass_on, alongside))
    except OSError as error:
        raise BuildFailed(f"cannot run the build: {argv[0]}: {error.strerror}", hint=_install(argv[0])) from None
    if code:
        raise BuildFailed(f"the build failed: {argv[0]} ended with code {code}", list(last))


def placeholders(machine: Machine) -> dict[str, str]:
    """What a build command can use: {goarch} as Go names the machine, {arch} as the kernel does, {os}."""
    return {"goarch": _GOARCH.get(machine.machine, machine.machine), "arch": machine.machine, "os": machine.system}


def fill(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _install(program: str) -> str:
    return f"install {program}, or change [build] command in teal.toml"
