"""Run the build command here, never on the server."""

import os
from collections import deque
from collections.abc import Callable

from teal.building.known_machines import Machine
from teal.config.read import ConfigFile
from teal.ground import run
from teal.ground.errors import BuildFailed
from teal.ground.run import Alongside, ProgramResult

_LAST_LINES = 20
_PLACEHOLDERS = ("goarch", "arch", "os")
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


def asks_for_the_machine(file: ConfigFile) -> bool:
    """Does the command name the machine that it builds for?"""
    words = [*file.config.build.command, *file.config.build.env.values()]
    return any(f"{{{name}}}" in word for word in words for name in _PLACEHOLDERS)


def build(file: ConfigFile, there: Machine, tell: Callable[[str], None], beside: Alongside | None = None) -> None:
    """Build for this machine; each line of output is told. Raises BuildFailed with the last ones."""
    command = file.config.build.command
    if not command:
        return
    values = placeholders(there)
    argv = [fill(argument, values) for argument in command]
    env = {**os.environ, **{name: fill(value, values) for name, value in file.config.build.env.items()}}
    last: deque[str] = deque(maxlen=_LAST_LINES)

    def tell_and_keep(line: str) -> None:
        last.append(line)
        tell(line)

    try:
        code = run.stream(argv, file.directory, env, ProgramResult(tell_and_keep, beside))
    except OSError as error:
        raise BuildFailed(f"cannot run the build: {argv[0]}: {error.strerror}", hint=_install(argv[0])) from None
    if code:
        raise BuildFailed(f"the build failed: {argv[0]} ended with code {code}", list(last))


def placeholders(there: Machine) -> dict[str, str]:
    """What a build command can say of the server: {goarch} as Go names it, {arch} as the kernel does, {os}."""
    return {"goarch": _GOARCH.get(there.machine, there.machine), "arch": there.machine, "os": there.system}


def fill(text: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _install(program: str) -> str:
    return f"install {program}, or change [build] command in teal.toml"
