"""The requirements of a program, on this machine and through the real pipe: Teal checks them before the upload."""

from pathlib import Path

import pytest

from harness.world import free_ports
from host import pipe
from host.pipe import deploy, files, frame, spec
from teal_host.ground.errors import BadRequest
from teal_host.ground.paths import AppPaths
from teal_host.ground.run import Ran, run
from teal_host.steps import requirements
from teal_host.wire.app import Run
from teal_host.wire.manifest import Needs


def refused(folder: Path, command: str, what: Needs, **env: str) -> str:
    with pytest.raises(BadRequest) as raised:
        requirements.check(AppPaths(folder, "shop"), Run((command,), env=env), what)
    return " ".join([raised.value.message, *raised.value.evidence, "→", raised.value.hint])


def test_requirement_passes_when_the_server_has_it(tmp_path: Path) -> None:
    for what in (Needs(), Needs("/bin/sh"), Needs(finds="sh"), Needs("/usr/bin/env", "sh")):
        requirements.check(AppPaths(tmp_path, "shop"), Run(("./app",)), what)


def test_requirement_passes_when_it_lies_in_the_release_to_come(tmp_path: Path) -> None:
    paths = AppPaths(tmp_path, "shop")
    requirements.check(paths, Run(("./app",)), Needs(str(paths.color("green").release / "bin/node")))
    with pytest.raises(BadRequest):
        requirements.check(
            paths, Run(("./app",)), Needs(str(AppPaths(tmp_path, "other").color("green").release / "node"))
        )


@pytest.mark.parametrize(
    ("command", "what", "complaint"),
    [
        ("./app", Needs("/lib/ld-musl-riscv64.so.1"), "./app needs musl's loader /lib/ld-musl-riscv64.so.1, which is"),
        ("./app", Needs("/lib/ld-musl-riscv64.so.1"), "link it statically"),
        ("./app", Needs("/lib/ld-musl-riscv64.so.1"), "apt install musl"),
        ("./app", Needs("/none/ld-linux.so.2"), "./app needs the loader /none/ld-linux.so.2, which is not on"),
        ("./app", Needs("/none/ld-linux.so.2"), "apt install libc6-i386"),
        ("./app", Needs("/lib99/ld64.so.2"), "./app needs the loader /lib99/ld64.so.2"),
        ("./app", Needs("/usr/bin/php99"), "./app is a script for /usr/bin/php99, which is not on the server →"),
        ("./app", Needs("/etc/passwd"), "./app is a script for /etc/passwd, which may not be executed there →"),
        ("./app", Needs("/usr/bin"), "./app is a script for /usr/bin, which may not be executed there →"),
        ("/opt/php99", Needs("/opt/php99"), 'run.command starts "/opt/php99", which is not on the server → install'),
        ("php99", Needs(finds="php99"), 'run.command starts "php99", which is not on the server\'s PATH'),
        ("./app", Needs("/usr/bin/env", "php99"), './app is started by env with "php99", which is not on'),
    ],
)  # fmt: skip
def test_requirement_is_refused_with_a_hint_when_the_server_lacks_it(
    tmp_path: Path, command: str, what: Needs, complaint: str
) -> None:
    assert complaint in refused(tmp_path, command, what)


def test_requirement_is_searched_for_in_the_path_of_the_program(tmp_path: Path) -> None:
    """[run] env may set another PATH. That PATH counts, whether it helps or hurts."""
    assert f"looked for in {tmp_path} " in refused(tmp_path, "sh", Needs(finds="sh"), PATH=str(tmp_path))
    (tmp_path / "own").write_text("#!/bin/sh\n")
    assert "own" in refused(tmp_path, "own", Needs(finds="own"), PATH=str(tmp_path))
    (tmp_path / "own").chmod(0o755)
    requirements.check(AppPaths(tmp_path, "shop"), Run(("own",), env={"PATH": str(tmp_path)}), Needs(finds="own"))


@pytest.mark.parametrize("dry_run", [False, True])
def test_requirement_is_refused_before_the_upload_and_leaves_nothing(tmp_path: Path, dry_run: bool) -> None:
    request = deploy(files({"app": b"x"}), spec=spec(free_ports(1)[0]), needs={"file": "/none"}, dry_run=dry_run)
    heard = pipe.say(tmp_path / "state", frame(request))
    assert [message["type"] for message in heard.messages] == ["failure"]
    assert (heard.answer["code"], heard.err) == ("config", "")
    assert "/none, which is not on the server" in heard.said
    assert pipe.left(tmp_path / "state") == set()


@pytest.mark.parametrize(
    "asked", [{"file": "ld.so"}, {"finds": "../sh"}, {"finds": ""}, {"file": "/a\0b"}, {"run": "x"}]
)
def test_requirement_is_a_mistake_when_malformed(tmp_path: Path, asked: dict[str, str]) -> None:
    heard = pipe.say(tmp_path / "state", frame(deploy(spec=spec(free_ports(1)[0]), needs=asked)))
    assert heard.answer["code"] == "config"
    assert f"needs.{next(iter(asked))}: " in heard.said
    assert pipe.left(tmp_path / "state") == set()


@pytest.mark.parametrize(
    ("fails", "mode", "is_refused"), [(True, 0o644, False), (False, 0o644, True), (False, 0o755, False)]
)
def test_requirement_is_refused_only_by_an_answer_of_the_app_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool, mode: int, is_refused: bool
) -> None:
    """runuser itself fails with 1, as `test` does for no: such a failure says nothing about the file."""
    runtime = tmp_path / "runtime"
    runtime.write_text("#!/bin/sh\n")
    runtime.chmod(mode)
    monkeypatch.setattr(requirements, "_HIDDEN", ())

    def runuser(argv: list[str], deadline_s: float) -> Ran:
        assert argv[:4] == ["runuser", "-u", "teal-shop", "--"]
        return Ran(1, "runuser: cannot set groups: Operation not permitted") if fails else run(argv[4:], deadline_s)

    monkeypatch.setattr(requirements, "run_program", runuser)
    refusals = []
    try:
        requirements._check_reaches("./app", str(runtime), "teal-shop")
    except BadRequest as refused:
        refusals.append(refused.message)
    assert refusals == [f"./app needs {runtime}, which the app's user teal-shop may not execute"] * is_refused
