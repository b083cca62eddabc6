"""Can the server run the program? Its machine and its libc are known from the greeting."""

import re
import shlex
from pathlib import PurePosixPath

from teal.building.build import placeholders
from teal.building.executable import Elf, Other
from teal.building.known_machines import Machine
from teal.building.requirements import Requirements
from teal.ground.errors import ConfigError
from teal_host.wire.messages import Greeting

_STATIC = "link it statically (CGO_ENABLED=0 for Go, -static for C, crt-static for Rust)"
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


def check_compatibility(requirements: Requirements, server: Greeting) -> None:
    """Raises ConfigError for a program that this server can never run."""
    for program, file in requirements.programs:
        if isinstance(file, Other):
            path = PurePosixPath(program).as_posix()
            raise ConfigError(f"{program} {file.description}", hint=_hint(file.description, path, server))
        if isinstance(file, Elf):
            _check_machine(program, file, server)
            _check_glibc(program, file, server)


def _check_machine(program: str, elf: Elf, server: Greeting) -> None:
    """A machine that the table does not list is accepted: the server knows better what it runs."""
    runnable = _RUNS.get(_family(server.machine))
    if runnable is not None and elf.machine not in runnable:
        message = f"{program} is built for {elf.machine}, the server is {server.machine}"
        raise ConfigError(message, hint=_build_hint(server))


def _family(machine: str) -> str:
    """The kernel has many names for a 32-bit ARM, and for a 32-bit Intel."""
    return re.sub(r"^i[3-6]86$", "i686", re.sub(r"^arm(v\d+\w*)?$", "arm", machine))


def _check_glibc(program: str, elf: Elf, server: Greeting) -> None:
    """A program with a loader of its own brings the libc that belongs to it."""
    server_glibc = re.fullmatch(r"glibc (\d+)\.(\d+)\S*", server.libc)
    system_loader = re.fullmatch(r"/lib\w*/(?:[\w-]+/)?ld[\w.-]*", elf.interpreter)
    if server_glibc and system_loader and elf.glibc > (int(server_glibc[1]), int(server_glibc[2])):
        required = ".".join(map(str, elf.glibc))
        raise ConfigError(
            f"{program} needs glibc {required} or newer, the server has {server.libc}",
            hint=f"{_STATIC}, or build it with {server.libc}",
        )


def _hint(description: str, path: str, server: Greeting) -> str:
    if "on Windows" in description:
        return f"sed -i 's/\\r$//' {shlex.quote(path)}"
    if "#!" in description or "interpreter" in description:
        return "its first line must be the program that runs it, such as #!/bin/sh"
    if "built for" in description or description.endswith((" a Windows program", " a macOS program")):
        return _build_hint(server)
    if path.endswith(".jar"):
        return f'java starts a jar: [run] command = ["java", "-jar", "./{path}"]'
    return "build it again, or ship the program itself"


def _build_hint(server: Greeting) -> str:
    goarch = placeholders(Machine(server.machine, server.system))["goarch"]
    return (
        f'build it for the server: GOOS=linux GOARCH={goarch} for Go ("{{goarch}}" in [build] env), --target for Rust'
    )
