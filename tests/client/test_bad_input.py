"""Everything that a user can type or write wrong.

Teal prints one clear error with its place, ends with the right exit code, and does nothing.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from client.mistakes import APP, FILES, RUN
from harness.world import World
from teal.cli import main

GOOD = f'{APP}[build]\nartifact = "program"\n[server]\nhttp_port = 28080\n{RUN}'
MANY_DIGITS = "9" * 5000


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Teal = Callable[..., Said]


@pytest.fixture
def teal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Teal:
    """Runs the command line in its own directory, and captures all output, also that of child processes."""
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["teal", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        assert "fault of Teal" not in err
        assert not (tmp_path / "state").exists()
        assert isinstance(ended.value.code, int)
        return Said(ended.value.code, out, err)

    return call


def configured(text: str = GOOD) -> None:
    """Makes a teal.toml and a deployable program in this directory."""
    Path("teal.toml").write_text(text)
    Path("program").write_text("#!/bin/sh\n")
    Path("program").chmod(0o755)


@pytest.mark.parametrize(
    ("text", "mistake"), FILES, ids=[f"{number}-{mistake[:40]}" for number, (_, mistake) in enumerate(FILES)]
)
def test_config_mistake_is_reported_with_its_line(teal: Teal, text: str, mistake: str) -> None:
    configured(text)
    marked = [number for number, line in enumerate(text.split("\n"), 1) if line.endswith("# here")]
    ended = teal("status")
    assert (ended.code, ended.out) == (3, "")
    first, *rest = ended.err.splitlines()
    assert first.startswith("teal: ")
    assert any(line.startswith(f"  teal.toml:{(marked or [1])[0]}: ") and mistake in line for line in rest), ended.err
    assert len([line for line in rest if line.startswith("  teal.toml:")]) == (2 if text == "" else 1)
    assert all(len(line) < 400 for line in rest)


@pytest.mark.parametrize("more", ["", "\n", "\n# of nginx\n"])
def test_config_mistake_behind_many_directives_is_reported_with_its_line(teal: Teal, more: str) -> None:
    directives = '  "add_header X-Frame-Options SAMEORIGIN;",\n' * 3000
    text = f"{GOOD}[proxy]\ndirectives = [\n{directives}]\n{more}[health]\npathh = 1\n"
    configured(text)
    assert f"teal.toml:{text.count(chr(10))}: health.pathh" in teal("status").err


def test_config_mistakes_are_reported_all_at_once_with_their_lines(teal: Teal) -> None:
    configured(
        'app = "X"\n[run]\ncommand = ["./program", "{x}"]\n[server]\ntarget = "x"\n\n[keep]\nreleases = 0\nkeep = 1\n'
    )
    ended = teal("deploy")
    lines = ended.err.splitlines()
    assert lines[0].endswith("shop/teal.toml has 5 mistakes")
    assert [line.split(": ")[:2] for line in lines[1:]] == [
        ["  teal.toml:1", "app"],
        ["  teal.toml:3", "run.command[1]"],
        ["  teal.toml:5", "server.target"],
        ["  teal.toml:8", "keep.releases"],
        ["  teal.toml:9", "keep.keep"],
    ]


def test_json_result_is_printed_when_the_config_has_a_mistake(teal: Teal) -> None:
    configured('app = "X"\n')
    for command in ("deploy", "rollback"):
        ended = teal(command, "--json")
        result = json.loads(ended.out.splitlines()[-1])
        assert (ended.code, result["type"], result["outcome"]) == (3, "result", "refused")
        assert any("teal.toml:1: app" in line for line in result["error"]["evidence"])


def _directory() -> None:
    Path("teal.toml").mkdir()


BAD_FILES: dict[str, tuple[Callable[[], object], str]] = {
    "none": (lambda: None, "there is no teal.toml in this directory"),
    "a directory": (_directory, "there is no teal.toml in this directory"),
    "a link to nothing": (lambda: Path("teal.toml").symlink_to("nowhere"), "there is no teal.toml in this directory"),
    "a link in circles": (lambda: Path("teal.toml").symlink_to("teal.toml"), "there is no teal.toml"),
    "a fifo": (lambda: os.mkfifo("teal.toml"), "teal.toml is not a file"),
    "a device": (lambda: Path("teal.toml").symlink_to("/dev/zero"), "is not a file"),
    "huge": (lambda: Path("teal.toml").write_bytes(b"#" * 1024 * 1024 + b"\n"), "is larger than 1 MiB"),
    "not UTF-8": (lambda: Path("teal.toml").write_bytes(b'app = "\xff"\n'), "is not UTF-8: byte 7 cannot be read"),
    "UTF-16": (lambda: Path("teal.toml").write_bytes(GOOD.encode("utf-16")), "is not UTF-8"),
    "not TOML": (lambda: Path("teal.toml").write_text('app = "shop"\nrun:\n'), "is not TOML: "),
    "YAML": (lambda: Path("teal.toml").write_text("app: shop\n"), "(at line 1, column 4)"),
    "no end": (lambda: Path("teal.toml").write_text('app = "shop\n'), "(at line 1, column 12)"),
    "a key twice": (lambda: Path("teal.toml").write_text('app = "a"\napp = "b"\n'), "is not TOML: Cannot overwrite"),
    "NUL": (lambda: Path("teal.toml").write_bytes(b"\0" * 50), "is not TOML"),
    "deep": (lambda: Path("teal.toml").write_text("a = " + "[" * 9000 + "]" * 9000), "is not TOML"),
    "many digits": (lambda: Path("teal.toml").write_text(f"a = {MANY_DIGITS}\n"), "is not TOML"),
}


@pytest.mark.parametrize(("make", "mistake"), BAD_FILES.values(), ids=list(BAD_FILES))
def test_config_file_is_refused_when_it_cannot_be_read_as_toml(
    teal: Teal, make: Callable[[], object], mistake: str
) -> None:
    make()
    ended = teal("status")
    assert (ended.code, ended.out) == (3, "")
    assert mistake in ended.err
    assert ended.err.startswith("teal: ")


LINES: list[tuple[str, int, str]] = [
    ("", 2, "Usage: teal"),
    ("nope", 2, 'There is no command "nope".'),
    ("depoly", 2, 'There is no command "depoly". Did you mean "deploy"?'),
    ("../x", 2, "There is no command"),
    ("--nope", 2, "No such option"),
    ("deploy --nope", 2, "No such option"),
    ("deploy --dryrun", 2, "--dry-run"),
    ("deploy extra", 2, "unexpected extra argument (extra)"),
    ("deploy --artifact", 2, "requires an argument"),
    ("deploy --artifact=", 2, "--artifact"),
    ("deploy --wait x", 2, "'x' is not a valid float"),
    ("deploy --wait -1", 2, "-1.0 is not in the range"),
    ("deploy --wait 1e9", 2, "is not in the range"),
    ("deploy --wait nan", 2, "--wait"),
    ("deploy --wait inf", 2, "is not in the range"),
    ("deploy --artifact nope", 3, "there is no artifact at"),
    ("stop", 2, 'There is no command "stop".\n'),
    ("deploy -C nope", 3, "there is no teal.toml at nope\n  → check the path\n"),
    ("deploy -C teal.worker.toml", 3, "there is no teal.toml at teal.worker.toml\n  → teal init -C teal.worker.toml\n"),
    ("deploy -C /proc", 3, "there is no teal.toml at /proc/teal.toml"),
    ("status -C /dev/null", 3, "is not a file"),
    ("-C nope status", 3, "there is no teal.toml at nope"),
    ("status extra", 2, "unexpected extra argument"),
    ("rollback nonsense", 2, "'nonsense' is not the name of a release; one looks like 0007-3f2a9c1b7d4e"),
    ("rollback ../../etc", 2, "'../../etc' is not the name of a release"),
    ("rollback 0001x", 2, "'0001x' is not the name of a release"),
    ("rollback 1-aaaaaaaaaaaa", 2, "is not the name of a release"),
    ("rollback 0001-AAAAAAAAAAAA", 2, "is not the name of a release"),
    ("rollback a b", 2, "unexpected extra argument (b)"),
    ("rollback -x", 2, "No such option"),
    ("rollback", 2, "there is no app shop here"),
    ("rollback 0001-aaaaaaaaaaaa", 2, "there is no app shop here"),
    ("logs --color red", 2, "'red' is not one of 'blue', 'green'"),
    ("logs --color", 2, "requires an argument"),
    ("logs -n x", 2, "'x' is not a valid integer"),
    ("logs -n -1", 2, "-1 is not in the range"),
    ("logs -n 100001", 2, "100001 is not in the range"),
    ("destroy", 2, "there is no app shop here; nothing to remove"),
    ("destroy -y", 2, "there is no app shop here; nothing to remove"),
    ("completion", 2, "Missing argument"),
    ("completion tcsh", 2, "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
]


@pytest.mark.parametrize(("line", "code", "mistake"), LINES, ids=[line or "nothing" for line, _, _ in LINES])
def test_command_line_is_refused_with_the_mistake_in_it(teal: Teal, line: str, code: int, mistake: str) -> None:
    configured()
    ended = teal(*line.split())
    assert (ended.code, ended.out) == (code, "")
    assert mistake in ended.err
    assert ended.err.count("Error: ") + ended.err.count("teal: ") == (0 if not line else 1)


def _two(make: Callable[[Path], object]) -> Callable[[], None]:
    """A directory with a program and another file."""

    def made() -> None:
        Path("dist").mkdir()
        Path("program").rename("dist/program")
        make(Path("dist"))

    return made


ARTIFACTS: dict[str, tuple[Callable[[], object], str, str]] = {
    "missing": (lambda: Path("program").unlink(), "program", "there is no artifact at"),
    "not executable": (lambda: Path("program").chmod(0o644), "program", 'starts "./program", which is not executable'),
    "another name": (lambda: Path("program").rename("app"), "app", 'starts "./program", which is not in the artifact'),
    "a fifo": (lambda: os.mkfifo("pipe"), "pipe", "has something that is not a regular file"),
    "a device": (lambda: None, "/dev/zero", "has something that is not a regular file: zero"),
    "a link inside": (_two(lambda top: (top / "l").symlink_to("/etc/passwd")), "dist", "has a link: l"),
    "a link upward": (_two(lambda top: (top / "up").symlink_to("..")), "dist", "has a link: up"),
    "a fifo inside": (_two(lambda top: os.mkfifo(top / "f")), "dist", "has something that is not a regular file: f"),
    "a line break in a name": (
        _two(lambda top: (top / "a\nb").touch()),
        "dist",
        "is not a path that a release can hold",
    ),
    "an escape in a name": (_two(lambda top: (top / "\x1b[2J").touch()), "dist", "is not a path that a release"),
    "no letters in a name": (_two(lambda top: (top / "\udcff").touch()), "dist", "is not a path that a release"),
    "an empty directory": (lambda: Path("dist").mkdir(), "dist", "has no file in it"),
    "nowhere": (lambda: None, "../nowhere", "there is no artifact at"),
}


@pytest.mark.parametrize(("make", "artifact", "mistake"), ARTIFACTS.values(), ids=list(ARTIFACTS))
def test_artifact_is_refused_with_one_error_when_it_cannot_be_shipped(
    teal: Teal, make: Callable[[], object], artifact: str, mistake: str
) -> None:
    configured()
    make()
    ended = teal("deploy", "--artifact", artifact)
    assert (ended.code, ended.out) == (3, "")
    assert mistake in ended.err
    assert ended.err.count("teal: ") == 1
    assert "\x1b" not in ended.err


@pytest.mark.parametrize(
    ("arguments", "text", "code", "mistake"),
    [
        (["nope"], GOOD, 2, "There is no command"),
        (["deploy"], "app = 1\n", 3, "teal.toml:1: app: must be text"),
        (["deploy", "--artifact", "nope"], GOOD, 3, "there is no artifact"),
        (["status", "-C", "\udcff"], GOOD, 3, "there is no teal.toml at \\xdcff"),
        (["deploy", "--json", "-C", "\udcff"], GOOD, 3, "there is no teal.toml at"),
    ],
)
def test_teal_process_ends_with_the_same_errors_as_a_call_of_main(
    world: World, arguments: list[str], text: str, code: int, mistake: str
) -> None:
    world.home.joinpath("teal.toml").write_text(text)
    ended = world.teal(*arguments)
    assert ended.code == code
    assert mistake in ended.err
    assert "fault of Teal" not in ended.err
    assert not world.root.exists()


@pytest.mark.parametrize("name", ["a$b", 'a"b', "a;b", "a{b", "a}b", "a\nb", "a*b"])
def test_state_root_is_refused_before_it_is_made_when_nginx_cannot_express_its_path(world: World, name: str) -> None:
    app = world.app()
    state = world.home / name
    ended = app.teal("deploy", XDG_STATE_HOME=str(state))
    assert (ended.code, ended.out) == (3, "")
    assert "has a character that cannot be written in an nginx file" in ended.err
    assert "XDG_STATE_HOME" in ended.err
    assert not state.exists()


def test_init_writes_the_file_that_is_named(teal: Teal) -> None:
    configured()
    assert teal("init", "-C", "teal.worker.toml").code == 0
    assert Path("teal.worker.toml").is_file()
    assert Path("teal.toml").read_text() == GOOD
    assert "there is no directory" in teal("init", "-C", "nowhere/teal.toml").err


PRINCIPALS: dict[tuple[str, ...], str] = {
    ("--deploy-ca", "ca.pub"): "there is no --principal, so it would let in every certificate",
    ("--principal", "shop"): "there is no --deploy-ca whose certificates have it",
    ("--deploy-key", "ca.pub", "--principal", "shop"): "there is no --deploy-ca whose certificates have it",
    ("--deploy-ca", "ca.pub", "--principal", "shop,"): "--principal: '' is not a principal",
    ("--deploy-ca", "ca.pub", "--principal", "sh*p"): "--principal: 'sh*p' is not a principal",
    ("--deploy-ca", "ca.pub", "--principal", 'a"'): "is not a principal",
    ("--deploy-ca", "ca.pub", "--principal", ",".join(f"p{number}" for number in range(41))): "and these are 41",
}


@pytest.mark.parametrize("words", list(PRINCIPALS), ids=" ".join)
def test_setup_says_what_to_type_for_a_ca(teal: Teal, words: tuple[str, ...]) -> None:
    configured()
    refused = teal("setup", *words)
    assert (refused.code, PRINCIPALS[words] in refused.err) == (3, True), refused.err
    assert "teal setup --deploy-ca CA.pub --principal NAME" in refused.err


@pytest.mark.hint("one after the other")
def test_setup_lets_in_one_key_at_a_time(teal: Teal) -> None:
    configured()
    refused = teal("setup", "--deploy-key", "ci.pub", "--deploy-ca", "ca.pub", "--principal", "shop")
    assert (refused.code, "let in one key each" in refused.err, "one after the other" in refused.err) == (2, True, True)
