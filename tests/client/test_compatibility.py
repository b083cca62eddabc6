"""A program against a machine: what the client refuses with a hint, and which requirements it sends to the server."""

from pathlib import Path

import pytest

from client.elf import AARCH64, ARM, I386, LOADER, MUSL, Made
from teal.building.artifact import read
from teal.building.compatibility import check_compatibility
from teal.building.requirements import read_requirements
from teal.ground.errors import ConfigError
from teal_host.wire import requests, typed
from teal_host.wire.manifest import Needs
from teal_host.wire.messages import Greeting

NEWEST = Made(loader=LOADER, versions=["GLIBC_2.17", "GLIBC_2.38"])


def there(machine: str = "x86_64", libc: str = "glibc 2.36") -> Greeting:
    return Greeting("3.11.2", "linux", machine, 1, libc=libc)


def needs(folder: Path, command: str, server: Greeting | None = None, **files: bytes) -> Needs:
    """The requirements of a command in an artifact of these files. Two underscores stand for a slash in a path."""
    for name, data in (files or {"app": b"#!/bin/sh\n"}).items():
        path = folder / "dist" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755)
    requirements = read_requirements(command.split(" "), read(folder / "dist"))
    check_compatibility(requirements, server or there())
    return requirements.needs


def refused(folder: Path, program: bytes, server: Greeting | None = None, command: str = "./app") -> str:
    with pytest.raises(ConfigError) as raised:
        needs(folder, command, server, app=program, bin__app=program)
    assert raised.value.exit_code == 3
    return f"{raised.value.message} → {raised.value.hint}"


@pytest.mark.parametrize(
    ("made", "machine", "complaint"),
    [
        (Made(AARCH64), "x86_64", "./app is built for aarch64, the server is x86_64 → "),
        (Made(), "aarch64", "./app is built for x86_64, the server is aarch64 → "),
        (Made(), "armv7l", "./app is built for x86_64, the server is armv7l → "),
        (Made(), "i686", "./app is built for x86_64, the server is i686 → "),
        (Made(AARCH64), "armv7l", "./app is built for aarch64, the server is armv7l → "),
        (Made(AARCH64, little=False), "aarch64", "./app is built for aarch64 (big-endian), the server is aarch64 → "),
        (Made(0xFEFF), "x86_64", "./app is built for a machine that Teal does not know (65279), the server is x86_64"),
        (Made(system=9), "x86_64", "./app is built for FreeBSD → "),
    ],
)
def test_program_for_another_machine_is_refused(tmp_path: Path, made: Made, machine: str, complaint: str) -> None:
    error = refused(tmp_path, made.made(), there(machine))
    assert error.startswith(complaint)
    goarch = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}[machine]
    assert f"GOARCH={goarch} " in error
    assert '"{goarch}"' in error


@pytest.mark.parametrize(
    ("made", "machine"),
    [
        (Made(), "x86_64"),
        (Made(I386, 32), "x86_64"),
        (Made(I386, 32), "i586"),
        (Made(AARCH64), "aarch64"),
        (Made(ARM, 32), "aarch64"),
        (Made(ARM, 32), "armv6l"),
        (Made(ARM, 32), "armv8l"),
        (Made(AARCH64), "a machine of next year"),
    ],
)
def test_static_program_that_may_run_needs_nothing(tmp_path: Path, made: Made, machine: str) -> None:
    assert needs(tmp_path, "./app", there(machine), app=made.made()) == Needs()


@pytest.mark.row("B12")
def test_newer_glibc_is_refused_with_both_versions(tmp_path: Path) -> None:
    error = refused(tmp_path, NEWEST.made())
    assert error.startswith("./app needs glibc 2.38 or newer, the server has glibc 2.36 → ")
    assert "CGO_ENABLED=0" in error


@pytest.mark.parametrize("libc", ["glibc 2.38", "glibc 2.41", "glibc 3.0", "glibc 2.38.9000", "", "musl"])
def test_glibc_is_accepted_when_it_is_new_enough_or_not_known(tmp_path: Path, libc: str) -> None:
    assert needs(tmp_path, "./app", there(libc=libc), app=NEWEST.made()) == Needs(LOADER)


@pytest.mark.parametrize("loader", ["/nix/store/0123-glibc-2.40/lib/ld-linux-x86-64.so.2", "/opt/own/ld.so"])
def test_custom_loader_brings_its_own_glibc(tmp_path: Path, loader: str) -> None:
    made = Made(loader=loader, versions=["GLIBC_2.40"])
    assert needs(tmp_path, "./app", app=made.made()) == Needs(loader)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (Made(loader=MUSL).made(), Needs(MUSL)),
        (Made(I386, 32, loader="/lib/ld-linux.so.2").made(), Needs("/lib/ld-linux.so.2")),
        (b"#!/bin/sh\n", Needs("/bin/sh")),
        (b"#!/usr/bin/env node\n", Needs("/usr/bin/env", "node")),
        (b"#!/usr/bin/env -S node --flag\n", Needs("/usr/bin/env", "node")),
        (b"#!/usr/bin/env -S A=1 B=2 node\n", Needs("/usr/bin/env", "node")),
        (b"#!/usr/bin/env -Snode\n", Needs("/usr/bin/env", "node")),
        (b"#!/usr/bin/env -i\n", Needs("/usr/bin/env")),
        (b"#!/usr/bin/env -S -u HOME node\n", Needs("/usr/bin/env")),
        (b"#!/usr/bin/env -S 'node\n", Needs("/usr/bin/env")),
        (b"#!/usr/bin/env ./node\n", Needs("/usr/bin/env")),
        (b"#!/usr/bin/env\n", Needs("/usr/bin/env")),
    ],
)
def test_program_in_the_artifact_needs_its_loader_or_interpreter_on_the_server(
    tmp_path: Path, program: bytes, expected: Needs
) -> None:
    assert needs(tmp_path, "./app", app=program) == expected
    assert needs(tmp_path, "./bin/app", bin__app=program) == expected
    assert needs(tmp_path, "bin/app", bin__app=program) == expected


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("python3 app.py", Needs(finds="python3")),
        ("/usr/bin/python3 app.py", Needs("/usr/bin/python3")),
        ("/usr/bin/env A=1 node app.js", Needs("/usr/bin/env", "node")),
        ("{data_dir}/app", Needs()),
        ("{color}", Needs()),
        ("../app", Needs()),
        ("elsewhere/app", Needs()),
    ],
)
def test_command_outside_the_artifact_needs_its_program_when_that_can_be_named(
    tmp_path: Path, command: str, expected: Needs
) -> None:
    assert needs(tmp_path, command) == expected


def test_interpreter_in_the_artifact_is_checked_in_place_of_the_script(tmp_path: Path) -> None:
    """The kernel searches for the interpreter from the working directory, which is the release."""
    own = Made(loader=LOADER).made()
    assert needs(tmp_path, "./app", app=b"#!bin/run --flag\n", bin__run=own) == Needs(LOADER)
    with pytest.raises(ConfigError, match=r"^bin/run is built for aarch64"):
        needs(tmp_path, "./app", app=b"#!bin/run\n", bin__run=Made(AARCH64).made())


def test_interpreter_missing_from_the_artifact_is_named(tmp_path: Path) -> None:
    error = refused(tmp_path, b"#!python3\n")
    assert error.startswith("./app is started by python3, which is not in the artifact → ")
    assert "/usr/bin/python3" in error
    assert needs(tmp_path, "./app", app=b"#!../python3\n") == Needs()


def test_interpreter_circle_ends(tmp_path: Path) -> None:
    assert needs(tmp_path, "./app", app=b"#!./app\n") == Needs()


@pytest.mark.parametrize(
    ("program", "complaint"),
    [
        (b"", "./app is empty → build it again, or ship the program itself"),
        (b"hello\n", './app is text without a "#!" line → its first line must be the program that runs it'),
        (b"#!/bin/sh\r\n", "./app has lines that end as on Windows, and Linux looks for such an interpreter → sed -i"),
        (b"MZ", "./app is a Windows program → build it for the server: GOOS=linux GOARCH=amd64"),
        (b"\xcf\xfa\xed\xfe", "./app is a macOS program → build it for the server"),
        (b"PK\x03\x04", "./app is an archive (zip or jar) → build it again, or ship the program itself"),
        (b"\x7fELF", "./app is a broken Linux program: "),
        (NEWEST.made()[:-1], "./app is a broken Linux program: it is cut short, at "),
        (
            b"#!/usr/bin/env node --flag\n",
            './app begins with "#!/usr/bin/env node --flag", and env takes that for one name'
            " → write #!/usr/bin/env -S node --flag",
        ),
    ],
)
def test_program_is_refused_when_linux_cannot_start_it(tmp_path: Path, program: bytes, complaint: str) -> None:
    assert refused(tmp_path, program).startswith(complaint)
    assert refused(tmp_path, program, command="./bin/app").startswith(complaint.replace("./app", "./bin/app", 1))


def test_program_that_vanished_from_the_artifact_is_named(tmp_path: Path) -> None:
    (tmp_path / "app").write_bytes(b"#!/bin/sh\n")
    (tmp_path / "app").chmod(0o755)
    artifact = read(tmp_path / "app")
    (tmp_path / "app").unlink()
    with pytest.raises(ConfigError, match=r"cannot read the artifact: .*/app: No such file"):
        read_requirements(["./app"], artifact)


def test_requirements_pass_the_grammar_of_the_wire_and_bad_names_do_not(tmp_path: Path) -> None:
    for asked in (Needs(), Needs(LOADER), Needs("/usr/bin/env", "node"), Needs(finds="größe+x")):
        assert typed.decode(Needs, typed.encode(asked)) == asked
    for file in ("", "ld.so", "../ld.so", "/a\nb", "/a\0b", "/\ud800", "/" + "x" * 5000):
        with pytest.raises(typed.Mistakes):
            typed.decode(Needs, {"file": file})
    for name in ("", "a/b", "/bin/sh", "a\nb", "\ud800", "x" * 300):
        with pytest.raises(typed.Mistakes):
            typed.decode(Needs, {"finds": name})
    assert "needs" in requests.Deploy.__dataclass_fields__
