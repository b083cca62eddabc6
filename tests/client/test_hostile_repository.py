"""An untrusted repository: what Teal asks git, and what `teal init` reads, runs nothing of it and waits for nothing.

At 768eec4 `git status` ran with the configuration of the repository: the file system monitor, the hook of the index and
the filters left the canary here.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from teal.building.origin import origin
from teal.ground import git
from teal.scaffold import detect


class Repository:
    """A repository with one commit, and a program in it that leaves a canary."""

    def __init__(self, folder: Path) -> None:
        self.top, self.canary = folder / "repository", folder / "canary"
        self.top.mkdir()
        self.evil = self.top / "evil"
        self.evil.write_text(f"#!/bin/sh\necho ran >> {self.canary}\ncat\n")
        self.evil.chmod(0o755)
        (self.top / "page").write_text("one\n")
        self.git("init", "-q")
        self.git("add", ".")
        self.git("commit", "-q", "-m", "first")

    def git(self, *words: str, at: Path | None = None) -> str:
        names = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
        done = subprocess.run(["git", *names, *words], cwd=at or self.top, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def set(self, name: str, value: "str | Path") -> None:
        self.git("config", name, str(value))

    def touch(self) -> None:
        """Gives the files another time, so that git reads them again."""
        for path in self.top.rglob("*"):
            if ".git" not in path.parts and path.is_file():
                os.utime(path, (1, 1))


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def fsmonitor(repository: Repository) -> None:
    repository.set("core.fsmonitor", repository.evil)


def fsmonitor_by_an_included_file(repository: Repository) -> None:
    (repository.top / "more").write_text(f"[core]\n\tfsmonitor = {repository.evil}\n")
    repository.set("include.path", repository.top / "more")


def fsmonitor_of_a_worktree(repository: Repository) -> None:
    repository.set("extensions.worktreeConfig", "true")
    repository.git("config", "--worktree", "core.fsmonitor", str(repository.evil))


def hook_of_the_index(repository: Repository) -> None:
    (repository.top / ".git/hooks").mkdir(exist_ok=True)
    (repository.top / ".git/hooks/post-index-change").symlink_to(repository.evil)
    repository.touch()


def hooks_elsewhere(repository: Repository) -> None:
    (repository.top / "hooks").mkdir()
    (repository.top / "hooks/post-index-change").symlink_to(repository.evil)
    repository.set("core.hooksPath", repository.top / "hooks")
    repository.touch()


def filtered(repository: Repository, name: str, kind: str, attributes: str = ".gitattributes") -> None:
    (repository.top / attributes).write_text(f"* filter={name}\n")
    repository.set(f"filter.{name}.{kind}", repository.evil)
    repository.set(f"filter.{name}.required", "true")
    repository.touch()


def filter_that_cleans(repository: Repository) -> None:
    filtered(repository, "evil", "clean")


def filter_with_a_strange_name(repository: Repository) -> None:
    filtered(repository, "a=b", "clean")


def filter_that_stays(repository: Repository) -> None:
    filtered(repository, "Evil.x", "process")


def filter_by_private_attributes(repository: Repository) -> None:
    filtered(repository, "evil", "clean", ".git/info/attributes")


def filter_of_the_user_that_the_repository_configures(repository: Repository) -> None:
    """As git-lfs, which runs what `lfs.extension` names."""
    filtered(repository, "lfs", "clean")


def submodule(repository: Repository) -> None:
    inner = repository.top / "inner"
    inner.mkdir()
    for words in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "inner")):
        repository.git(*words, at=inner)
    repository.git("add", "inner")
    repository.git("commit", "-q", "-m", "with a submodule")
    repository.git("config", "filter.x.clean", str(repository.evil), at=inner)
    (inner / "file").write_text("one")
    repository.git("add", "file", at=inner)
    repository.git("config", "core.fsmonitor", str(repository.evil), at=inner)
    (inner / ".gitattributes").write_text("* filter=x\n")
    os.utime(inner / "file", (1, 1))


def objects_that_are_missing(repository: Repository) -> None:
    """A partial clone fetches them when somebody asks, with the transport that its configuration names."""
    commit = repository.git("rev-parse", "HEAD")
    tree = repository.git("rev-parse", "HEAD^{tree}")
    for name in (commit, tree):
        (repository.top / ".git/objects" / name[:2] / name[2:]).unlink()
    repository.set("core.repositoryFormatVersion", "1")
    repository.set("extensions.partialClone", "origin")
    repository.set("remote.origin.promisor", "true")
    repository.set("remote.origin.url", "ssh://nobody@127.0.0.1/x")
    repository.set("core.sshCommand", repository.evil)


def objects_by_an_own_transport(repository: Repository) -> None:
    objects_that_are_missing(repository)
    repository.set("remote.origin.url", f"ext::{repository.evil}")
    repository.set("protocol.ext.allow", "always")


def programs_that_are_named(repository: Repository) -> None:
    for name in ("core.pager", "core.editor", "core.askPass", "core.gitProxy", "core.sshCommand", "diff.external"):
        repository.set(name, repository.evil)
    for name in ("credential.helper", "gpg.program", "diff.evil.textconv", "diff.evil.command", "pager.status"):
        repository.set(name, repository.evil)
    for name in ("alias.status", "alias.rev-parse", "alias.config"):
        repository.set(name, f"!{repository.evil}")
    (repository.top / ".gitattributes").write_text("* diff=evil merge=evil\n")
    repository.set("log.showSignature", "true")
    repository.set("status.submoduleSummary", "true")
    repository.touch()


ATTACKS: dict[str, Callable[[Repository], None]] = {
    attack.__name__: attack
    for attack in (
        *(fsmonitor, fsmonitor_by_an_included_file, fsmonitor_of_a_worktree, hook_of_the_index, hooks_elsewhere),
        *(filter_that_cleans, filter_with_a_strange_name, filter_that_stays, filter_by_private_attributes),
        *(filter_of_the_user_that_the_repository_configures, submodule, objects_that_are_missing),
        *(objects_by_an_own_transport, programs_that_are_named),
    )
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=list(ATTACKS))
@pytest.mark.row("S10")
def test_git_runs_nothing_of_an_untrusted_repository(
    attack: Callable[[Repository], None], repository: Repository
) -> None:
    attack(repository)
    repository.canary.unlink(missing_ok=True)  # the preparation may have left it
    index = (repository.top / ".git/index").read_bytes()
    origin(repository.top)
    assert not repository.canary.exists()
    assert (repository.top / ".git/index").read_bytes() == index


@pytest.mark.row("S10")
def test_git_runs_nothing_of_an_embedded_bare_repository(repository: Repository) -> None:
    """A directory of any name that looks like a repository travels in a commit as files."""
    bare = repository.top / "docs"
    shutil.copytree(repository.top / ".git", bare)
    repository.git("config", "--file", str(bare / "config"), "core.worktree", ".")
    repository.git("config", "--file", str(bare / "config"), "core.fsmonitor", str(repository.evil))
    origin(bare)
    assert not repository.canary.exists()
    assert git.commit(bare) == ""


@pytest.mark.parametrize("name", ["GIT_SSH_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_PAGER", "GIT_EXEC_PATH", "GIT_DIR"])
@pytest.mark.row("S17")
def test_git_takes_no_word_of_the_environment(
    name: str, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, str(repository.evil))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.fsmonitor")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(repository.evil))
    assert len(origin(repository.top).commit) == 12
    assert not repository.canary.exists()


@pytest.mark.parametrize("folder", ["", ".", "bin"])
@pytest.mark.row("S17")
def test_git_is_not_a_program_of_the_repository(
    folder: str, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.top / "bin").mkdir()
    for path in ("git", "bin/git"):
        (repository.top / path).symlink_to(repository.evil)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.chdir(repository.top)
    assert len(origin(repository.top).commit) == 12
    assert not repository.canary.exists()


def test_origin_tells_whether_a_tracked_file_has_changes(repository: Repository) -> None:
    assert not origin(repository.top).dirty
    repository.touch()
    assert not origin(repository.top).dirty
    (repository.top / "page").write_text("two\n")
    assert origin(repository.top).dirty
    assert origin(repository.top).commit == repository.git("rev-parse", "--short=12", "HEAD")


ELSEWHERE = "ssh://nobody@127.0.0.1:9"


@pytest.mark.parametrize(
    ("command", "target", "answer"),
    [
        ("deploy --dry-run", "local", "start it on blue"),
        ("deploy --dry-run", ELSEWHERE, "refuses the connection"),
        ("setup --dry-run", ELSEWHERE, "refuses the connection"),
        ("setup", ELSEWHERE, "refuses the connection"),
        ("init --yes", "local", "teal.toml"),
        ("status", "local", "nothing is deployed yet"),
        ("doctor", "local", "clock"),
    ],
)
@pytest.mark.row("S10")
def test_command_runs_nothing_of_the_repository(command: str, target: str, answer: str, repository: Repository) -> None:
    """At 768eec4 `deploy --dry-run` left the canary. `answer`: how far the command comes."""
    if target == ELSEWHERE and not shutil.which("ssh"):
        pytest.skip("no ssh on this machine")
    fsmonitor(repository)
    for name in ("go", "cargo", "node", "npm", "make", "dotnet", "zig", "git", "ssh"):
        (repository.top / name).symlink_to(repository.evil)
    (repository.top / "go.mod").write_text("module evil\ntoolchain evil\n")
    (repository.top / "package.json").write_text('{"scripts": {"preinstall": "./evil"}, "main": "evil.js"}')
    (repository.top / "Makefile").write_text(f"X := $(shell {repository.evil})\nall:\n")
    text = f'[server]\ntarget = "{target}"\n[build]\nartifact = "page"\n[run]\ncommand = ["cat"]\n'
    (repository.top / "teal.toml").write_text(f'app = "shop"\n{text}')
    argv = [sys.executable, "-m", "teal", *command.split()]
    env = {**os.environ, "HOME": str(repository.top.parent), "XDG_STATE_HOME": str(repository.top.parent / "state")}
    done = subprocess.run(argv, cwd=repository.top, env=env, capture_output=True, timeout=60, check=False, text=True)
    assert answer in done.stdout + done.stderr
    assert not repository.canary.exists()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("place", [pipe, device], ids=["pipe", "device"])
@pytest.mark.parametrize("name", [".gitignore", "go.mod", "main.go", ".cargo", "dist/app", "../go.mod"])
@pytest.mark.row("S29")
def test_init_waits_for_no_file_of_the_repository(place: Callable[[Path], None], name: str, tmp_path: Path) -> None:
    """At 768eec4 a pipe called .gitignore, or go.mod above the directory, held `teal init` for ever."""
    app = tmp_path / "app"
    (app / "dist").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (app / "Cargo.toml").write_text('[package]\nname = "app"\n')
    (app / "src").mkdir()
    (app / "src/main.rs").write_text("fn main() {}\n")
    place(app / name)
    argv = [sys.executable, "-m", "teal", "init", "--yes"]
    done = subprocess.run(argv, cwd=app, capture_output=True, timeout=240, check=False, text=True)
    assert done.returncode == 0, done.stderr
    assert detect(app).app == "app"


@pytest.mark.parametrize("attack", ["link", "pipe"])
@pytest.mark.row("S29")
def test_init_writes_no_other_file_than_its_own(attack: str, tmp_path: Path) -> None:
    """At 768eec4 a link called .teal.toml.tmp in the repository led `teal init` to overwrite a file of the user's."""
    app, profile = tmp_path / "app", tmp_path / ".profile"
    app.mkdir()
    profile.write_text("mine")
    if attack == "link":
        (app / ".teal.toml.tmp").symlink_to(profile)
    else:
        os.mkfifo(app / ".teal.toml.tmp")
    argv = [sys.executable, "-m", "teal", "init", "--yes"]
    subprocess.run(argv, cwd=app, capture_output=True, timeout=240, check=True)
    assert profile.read_text() == "mine"
    assert not (app / "teal.toml").is_symlink()
