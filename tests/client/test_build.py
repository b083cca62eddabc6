"""The build runs on this machine. Teal shows its output at once, and repeats the last lines when the build fails."""

import os
import sys
import threading
from pathlib import Path

import pytest

from harness.world import wait_until
from teal.building.build import build, fill, placeholders
from teal.building.known_machines import Machine
from teal.config.model import Build, Config
from teal.config.read import ConfigFile
from teal.ground.errors import BuildFailed
from teal_host.wire.app import Run

THERE = Machine("x86_64", "linux")
ARM = Machine("aarch64", "linux")


def config(folder: Path, *command: str, **env: str) -> ConfigFile:
    return ConfigFile(Config("shop", Run(("./app",)), Build(command, env)), folder / "teal.toml")


def python(text: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", text)


def built(folder: Path, *command: str, server: Machine = THERE, **env: str) -> list[str]:
    output: list[str] = []
    build(config(folder, *command, **env), server, output.append)
    return output


def failed(folder: Path, *command: str) -> BuildFailed:
    with pytest.raises(BuildFailed) as raised:
        built(folder, *command)
    return raised.value


def test_build_runs_nothing_without_a_command(tmp_path: Path) -> None:
    assert built(tmp_path) == []


def test_build_output_and_errors_are_passed_on_line_by_line(tmp_path: Path) -> None:
    text = "import sys; print('one', flush=True); print('two', file=sys.stderr, flush=True); print('three', end='')"
    assert built(tmp_path, *python(text)) == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (b"", []),
        (b"\n\n", ["", ""]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"\xff\xfe\n", ["\ufffd\ufffd"]),
        (b"\x1b[31mred\x1b[0m\n", ["\x1b[31mred\x1b[0m"]),
        (b"x" * 200_000 + b"\n", ["x" * 200_000]),
        ("é\n".encode(), ["é"]),
    ],
)
def test_build_output_may_hold_any_bytes(tmp_path: Path, written: bytes, lines: list[str]) -> None:
    text = f"import sys; sys.stdout.buffer.write({written[:200]!r} * {max(1, len(written) // 200)})"
    text = f"import sys; sys.stdout.buffer.write(b'x' * {len(written) - 1} + b'\\n')" if len(written) > 200 else text
    assert built(tmp_path, *python(text)) == lines


def test_build_line_without_an_end_comes_in_pieces(tmp_path: Path) -> None:
    pieces = built(tmp_path, *python("import sys; sys.stdout.write('x' * 5_000_000)"))
    assert "".join(pieces) == "x" * 5_000_000
    assert max(map(len, pieces)) < 1_200_000


def test_build_output_is_passed_on_while_the_build_runs(tmp_path: Path) -> None:
    """The build waits for a file that the test makes only when the first line of output has arrived."""
    go_on = tmp_path / "go on"
    text = f"import os, time; print('waiting', flush=True)\nwhile not os.path.exists({str(go_on)!r}): time.sleep(0.01)"
    output: list[str] = []
    running = threading.Thread(target=build, args=(config(tmp_path, *python(text)), THERE, output.append))
    running.start()
    try:
        wait_until(lambda: output == ["waiting"])
    finally:
        go_on.touch()
        running.join()


def test_build_failure_carries_the_exit_code_and_the_last_20_lines(tmp_path: Path) -> None:
    error = failed(tmp_path, *python("import sys; [print(n) for n in range(50)]; sys.exit(7)"))
    assert error.message == f"the build failed: {sys.executable} ended with code 7"
    assert error.evidence == tuple(str(number) for number in range(30, 50))
    assert error.exit_code == 5


def test_build_fails_when_its_process_is_killed(tmp_path: Path) -> None:
    assert "ended with code -9" in failed(tmp_path, *python("import os; os.kill(os.getpid(), 9)")).message


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("no-such-program-anywhere", "No such file"),
        ("./missing.sh", "No such file"),
        ("./plain", "Permission denied"),
        ("./folder", "Permission denied"),
        ("./broken", "Exec format error"),
    ],
)
def test_build_program_is_named_with_a_hint_when_it_cannot_run(tmp_path: Path, program: str, reason: str) -> None:
    (tmp_path / "plain").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken").write_bytes(b"\0")
    (tmp_path / "broken").chmod(0o755)
    error = failed(tmp_path, program)
    assert error.message.startswith(f"cannot run the build: {program}: {reason}")
    assert error.hint == f"install {program}, or change [build] command in teal.toml"


def test_build_runs_in_the_directory_of_the_config_file(tmp_path: Path) -> None:
    (tmp_path / "make.sh").write_text("#!/bin/sh\npwd -P\n")
    (tmp_path / "make.sh").chmod(0o755)
    assert built(tmp_path, "./make.sh") == [str(tmp_path.resolve())]


def test_build_gets_the_environment_of_the_caller_and_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "kept")
    monkeypatch.setenv("BOTH", "ours")
    text = "import os; print(os.environ['OURS'], os.environ['BOTH'], os.environ['GOARCH'], 'PATH' in os.environ)"
    assert built(tmp_path, *python(text), BOTH="theirs", GOARCH="{goarch}") == ["kept theirs amd64 True"]
    assert os.environ["BOTH"] == "ours"


def test_build_reads_an_empty_standard_input(tmp_path: Path) -> None:
    assert built(tmp_path, *python("import sys; print(repr(sys.stdin.read()))")) == ["''"]


@pytest.mark.parametrize(
    ("machine", "goarch"),
    [
        ("x86_64", "amd64"),
        ("aarch64", "arm64"),
        ("armv7l", "arm"),
        ("armv6l", "arm"),
        ("i686", "386"),
        ("i386", "386"),
        ("riscv64", "riscv64"),
        ("s390x", "s390x"),
    ],
)
def test_build_placeholders_name_the_machine_of_the_server(tmp_path: Path, machine: str, goarch: str) -> None:
    machine_ = Machine(machine, "linux")
    assert placeholders(machine_) == {"goarch": goarch, "arch": machine, "os": "linux"}
    text = "import sys; print(*sys.argv[1:])"
    output = built(tmp_path, *python(text), "-o", "app-{os}-{goarch}", "{arch}{arch}", server=machine_)
    assert output == [f"-o app-linux-{goarch} {machine}{machine}"]


@pytest.mark.parametrize(
    ("text", "filled"),
    [("{goarch}", "arm64"), ("a{os}b", "alinuxb"), ("{port}", "{port}"), ("{", "{"), ("{{os}}", "{linux}"), ("", "")],
)
def test_build_fills_only_the_placeholders_it_knows(text: str, filled: str) -> None:
    assert fill(text, placeholders(ARM)) == filled


def test_build_process_ends_when_the_build_is_interrupted(tmp_path: Path) -> None:
    started = tmp_path / "pid"
    text = (
        f"import os, time; open({str(started)!r}, 'w').write(str(os.getpid())); print(1, flush=True); time.sleep(600)"
    )

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(config(tmp_path, *python(text)), THERE, interrupt)
    wait_until(lambda: not Path(f"/proc/{started.read_text()}").exists())
