"""Does the program fit the machine? What can be told here is told here; what only the server knows it is asked for."""

import contextlib
import re
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from teal.building import executable
from teal.building.artifact import Artifact
from teal.building.build import placeholders
from teal.building.executable import Elf, Script
from teal.building.known_machines import Machine
from teal.ground.errors import ConfigError
from teal_host.wire.manifest import Needs
from teal_host.wire.messages import Greeting

_KERNEL_FOLLOWS = 5  # scripts whose interpreter is a script
_RUNS = {
    "x86_64": {"x86_64", "i686", "x32"},
    "i686": {"i686"},
    "aarch64": {"aarch64", "arm"},
    "arm": {"arm"},
    "riscv64": {"riscv64"},
    "ppc64le": {"ppc64le"},
    "s390x": {"s390x", "s390"},
    "loongarch64": {"loongarch64"},
}


def check(command: Sequence[str], artifact: Artifact, there: Greeting) -> Needs:
    """What the command needs on the server's disk. Raises ConfigError for what can never run there.

    What cannot be known beforehand, such as a program that a placeholder names, needs nothing.
    """
    program = command[0]
    if "{" in program:
        return Needs()
    if "/" not in program:
        return Needs(finds=program)
    if program.startswith("/"):
        return Needs(program, _name_for_env(command[1:]) if _is_env(program) else None)
    return _inside(program, artifact, there, _KERNEL_FOLLOWS)


def check_ahead(command: Sequence[str], artifact: Artifact) -> None:
    """Read the program once before the server is known: what that imports takes longer than the reading itself."""
    path = PurePosixPath(command[0])
    if not path.is_absolute() and ".." not in path.parts:
        with contextlib.suppress(OSError):
            executable.inspect(artifact.root / path)


def _inside(program: str, artifact: Artifact, there: Greeting, follows: int) -> Needs:
    """Of a program in the artifact."""
    path = PurePosixPath(program).as_posix()
    if not any(entry.path == path and entry.kind == "file" for entry in artifact.manifest.entries):
        return Needs()
    try:
        found = executable.inspect(artifact.root / path)
    except OSError as error:
        raise ConfigError(f"cannot read the artifact: {artifact.root / path}: {error.strerror}") from None
    if isinstance(found, executable.Other):
        raise ConfigError(f"{program} {found.says}", hint=_instead(found.says, path, there))
    if isinstance(found, Elf):
        _refuse_other_machine(program, found, there)
        _refuse_newer_glibc(program, found, there)
    if found.interpreter and not found.interpreter.startswith("/"):
        return _beside(program, found.interpreter, artifact, there, follows - 1)
    finds = _name_in(program, found) if isinstance(found, Script) and _is_env(found.interpreter) else None
    return Needs(found.interpreter or None, finds)


def _beside(program: str, interpreter: str, artifact: Artifact, there: Greeting, follows: int) -> Needs:
    """A relative interpreter is looked for from the working directory, which is the release."""
    path = PurePosixPath(interpreter)
    if follows == 0 or ".." in path.parts:
        return Needs()
    if not any(entry.path == path.as_posix() for entry in artifact.manifest.entries):
        says = f"{program} is started by {interpreter}, which is not in the artifact"
        raise ConfigError(says, hint=f"ship it, or write an absolute path, such as /usr/bin/{path.name}")
    return _inside(interpreter, artifact, there, follows)


def _refuse_other_machine(program: str, elf: Elf, there: Greeting) -> None:
    """A machine that this table does not have is not refused: it may know better what it runs."""
    runs = _RUNS.get(_family(there.machine))
    if runs is not None and elf.machine not in runs:
        message = f"{program} is built for {elf.machine}, the server is {there.machine}"
        raise ConfigError(message, hint=_build_for(there))


def _family(machine: str) -> str:
    """The kernel has many words for an ARM of 32 bits, and for an Intel."""
    return re.sub(r"^i[3-6]86$", "i686", re.sub(r"^arm(v\d+\w*)?$", "arm", machine))


def _refuse_newer_glibc(program: str, elf: Elf, there: Greeting) -> None:
    """A loader of the program's own brings the libc that belongs to it."""
    has = re.fullmatch(r"glibc (\d+)\.(\d+)\S*", there.libc)
    of_the_system = re.fullmatch(r"/lib\w*/(?:[\w-]+/)?ld[\w.-]*", elf.interpreter)
    if has and of_the_system and elf.glibc > (int(has[1]), int(has[2])):
        wants = ".".join(map(str, elf.glibc))
        raise ConfigError(
            f"{program} needs glibc {wants} or newer, the server has {there.libc}",
            hint=f"link it statically (CGO_ENABLED=0 for Go, musl for Rust), or build it where there is {there.libc}",
        )


def _instead(says: str, path: str, there: Greeting) -> str:
    if "on Windows" in says:
        return f"sed -i 's/\\r$//' {shlex.quote(path)}"
    if "#!" in says:
        return "its first line must be the program that runs it, such as #!/bin/sh"
    if "built for" in says or says.endswith((" a Windows program", " a macOS program")):
        return _build_for(there)
    return (
        "build it again, or see what [build] command makes" if "Linux program:" in says else "ship the program itself"
    )


def _build_for(there: Greeting) -> str:
    goarch = placeholders(Machine(there.machine, there.system))["goarch"]
    return (
        f'build it for the server: GOOS=linux GOARCH={goarch} for Go ("{{goarch}}" in [build] env), --target for Rust'
    )


def _is_env(interpreter: str) -> bool:
    return PurePosixPath(interpreter).name == "env"


def _name_in(program: str, script: Script) -> str | None:
    """The program that a script's `env` will look for. The rest of its line is one word to env, unless -S splits it."""
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
    """The first word that is no assignment; None where an option makes it uncertain."""
    name = next((word for word in words if "=" not in word), "")
    certain = name and not name.startswith("-") and not set(name) & set("/${ ")
    return name if certain else None
