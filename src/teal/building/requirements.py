"""What the program of an artifact needs, read from its files alone: known before any server is."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from teal.building import executable
from teal.building.artifact import Artifact
from teal.building.executable import Elf, Other, Script
from teal.ground.errors import ConfigError
from teal_host.wire.manifest import Needs

_MOST_INTERPRETERS = 5  # as many as the kernel follows: scripts whose interpreter is a script


@dataclass(frozen=True)
class Requirements:
    """`needs` must be on the server's disk. `programs` are the files that the kernel starts, by their paths:
    machine and libc of the server must suit them (see compatibility.py)."""

    needs: Needs = field(default_factory=Needs)
    programs: tuple[tuple[str, Elf | Script | Other], ...] = ()


def read_requirements(command: Sequence[str], artifact: Artifact) -> Requirements:
    """Raises ConfigError for a program that no server can start.

    What cannot be known beforehand, such as a program that a placeholder names, needs nothing.
    """
    program = command[0]
    if "{" in program:
        return Requirements()
    if "/" not in program:
        return Requirements(Needs(finds=program))
    if program.startswith("/"):
        return Requirements(Needs(program, _name_for_env(command[1:]) if _is_env(program) else None))
    return _requirements_of_files(program, artifact)


def _requirements_of_files(program: str, artifact: Artifact) -> Requirements:
    """Follow a program of the artifact to its interpreter, as long as the interpreter is a file of the artifact too."""
    programs: list[tuple[str, Elf | Script | Other]] = []
    needs = Needs()
    while _holds(artifact, program) and len(programs) < _MOST_INTERPRETERS:
        file = _inspect(program, artifact)
        programs.append((program, file))
        if isinstance(file, Other):
            break
        if not file.interpreter or file.interpreter.startswith("/"):
            needs = _needs(program, file)
            break
        if ".." in PurePosixPath(file.interpreter).parts:
            break
        _check_interpreter(program, file.interpreter, artifact)
        program = file.interpreter
    return Requirements(needs, tuple(programs))


def _holds(artifact: Artifact, program: str) -> bool:
    path = PurePosixPath(program).as_posix()
    return any(entry.path == path and entry.kind == "file" for entry in artifact.manifest.entries)


def _inspect(program: str, artifact: Artifact) -> Elf | Script | Other:
    path = artifact.root / PurePosixPath(program)
    try:
        return executable.inspect(path)
    except OSError as error:
        raise ConfigError(f"cannot read the artifact: {path}: {error.strerror}") from None


def _needs(program: str, file: Elf | Script) -> Needs:
    name = _name_in(program, file) if isinstance(file, Script) and _is_env(file.interpreter) else None
    return Needs(file.interpreter or None, name)


def _check_interpreter(program: str, interpreter: str, artifact: Artifact) -> None:
    """The kernel looks for a relative interpreter from the working directory, which is the release."""
    path = PurePosixPath(interpreter)
    if not any(entry.path == path.as_posix() for entry in artifact.manifest.entries):
        message = f"{program} is started by {interpreter}, which is not in the artifact"
        raise ConfigError(message, hint=f"ship it, or write an absolute path, such as /usr/bin/{path.name}")


def _is_env(interpreter: str) -> bool:
    return PurePosixPath(interpreter).name == "env"


def _name_in(program: str, script: Script) -> str | None:
    """The program that a script's `env` looks for. Without -S, env takes the rest of the line as one word."""
    splits = re.match(r"-S\s*|--split-string[=\s]", script.argument)
    if splits:
        try:
            return _name_for_env(shlex.split(script.argument[splits.end() :]))
        except ValueError:
            return None
    if re.match(r"[\w.+-]+\s", script.argument) and not script.argument.startswith("-"):
        raise ConfigError(
            f'{program} begins with "#!{script.interpreter} {script.argument}", and env takes that for one name',
            hint=f"write #!{script.interpreter} -S {script.argument}",
        )
    return _name_for_env([script.argument])


def _name_for_env(words: Sequence[str]) -> str | None:
    """The first word that is not an assignment; None where an option makes it uncertain."""
    name = next((word for word in words if "=" not in word), "")
    certain = name and not name.startswith("-") and not set(name) & set("/${ ")
    return name if certain else None
