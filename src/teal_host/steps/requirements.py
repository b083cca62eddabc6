"""Is there on this machine what the program says that it needs? Asked before the upload, not found out at the start."""

import os
import re
import shutil
from pathlib import Path
from typing import Iterator

from teal_host.ground import files, ownership
from teal_host.ground.errors import BadRequest
from teal_host.ground.paths import AppPaths
from teal_host.ground.run import run as run_program
from teal_host.state import agreement
from teal_host.wire.app import Run
from teal_host.wire.manifest import Needs

_LOADER = re.compile(r"ld(?:32|64)?[-.][\w.-]*")
_STATICALLY = "link it statically (CGO_ENABLED=0 for Go, -static for C, crt-static for Rust)"
_HIDDEN = ("/root", "/home", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - by the unit: ProtectHome, PrivateTmp
_MOST_LINKS = 40  # the kernel follows no more
_ASK_S = 10.0
_PACKAGES = {"ld-musl": "musl", "ld-linux.so.2": "libc6-i386"}  # on Debian and Ubuntu


def check(paths: AppPaths, run: Run, needs: Needs) -> None:
    """Raises BadRequest for what is not here."""
    if needs.file and not _is_here(paths, needs.file):
        raise _no_file(run.command[0], needs.file)
    where = search_path(run)
    if needs.finds and not shutil.which(needs.finds, path=where):
        raise BadRequest(
            f'{_starter(run.command[0], needs.finds)} "{needs.finds}", which is not on the server\'s PATH',
            [f"looked for in {where[:1000]}"],
            f"install {needs.finds} there; a program of the release is written ./{needs.finds}",
        )
    agreed = agreement.load(paths)
    if agreed and agreed.user:
        installed = shutil.which(needs.finds, path=where) if needs.finds else None
        for file in (needs.file, installed):
            if file and paths.home not in Path(file).parents:
                _check_reaches(run.command[0], file, agreed.user)


def check_is_for_all(paths: AppPaths, run: Run, needs: Needs) -> None:
    """For a deploy key: root looks, so nothing is said of what lies where not everybody may look. Raises BadRequest."""
    looked_at = [f"{folder}/{needs.finds}" for folder in search_path(run).split(":") if needs.finds and folder]
    if needs.file and paths.home not in Path(os.path.normpath(needs.file)).parents:
        looked_at.append(needs.file)
    for file in looked_at:
        if not ownership.everybody_reaches(os.path.abspath(file)):  # noqa: PTH100 - resolves no link
            message = f"{run.command[0]} needs {needs.file or needs.finds}, and not every user may look for {file}"
            raise BadRequest(message, hint=_for_all(file))


def _check_reaches(program: str, file: str, user: str) -> None:
    """Raises BadRequest for what root finds and the app does not: a runtime in a home, as nvm and uv install it."""
    hint = _for_all(file)
    for path in _links(Path(file)):
        folder = next((folder for folder in _HIDDEN if Path(folder) in path.parents), None)
        if folder:
            text = (
                f"{program} needs {file}: {path} is below {folder}, which the sandbox hides (ProtectHome, PrivateTmp)"
            )
            raise BadRequest(text, hint=hint)
    # runuser itself fails with 1 as well, so it is asked for what `test` says with 0
    asked = run_program(["runuser", "-u", user, "--", "test", "!", "-x", file], _ASK_S)
    if asked.code == 0:
        raise BadRequest(f"{program} needs {file}, which the app's user {user} may not execute", hint=hint)


def _for_all(file: str) -> str:
    return f"install {Path(file).name} for all users, such as below /opt or /usr/local, or ship it in the artifact"


def _links(file: Path) -> Iterator[Path]:
    """The file, what it links to, and where it lies in the end."""
    yield file
    for _ in range(_MOST_LINKS):
        target = files.link_target(file)
        if target is None:
            break
        file = file.parent / target
        yield file
    yield file.resolve()


def search_path(run: Run) -> str:
    """The PATH that the program will have."""
    return run.env.get("PATH") or os.environ.get("PATH") or os.defpath


def _is_here(paths: AppPaths, file: str) -> bool:
    """What lies below Teal's own directory of the app may be of the release that is still to come."""
    path = Path(os.path.normpath(file))
    return paths.home in path.parents or (path.is_file() and os.access(path, os.X_OK))


def _no_file(program: str, file: str) -> BadRequest:
    name = Path(file).name
    lacks = "which may not be executed there" if Path(file).exists() else "which is not on the server"
    if file == program:
        return BadRequest(f'run.command starts "{file}", {lacks}', hint=f"install {name} there")
    if not _LOADER.fullmatch(name):
        message = f"{program} is a script for {file}, {lacks}"
        return BadRequest(message, hint="install it there, or name another one in the script's first line")
    kind = "musl's loader" if name.startswith("ld-musl") else "the loader"
    package = next((package for begins, package in _PACKAGES.items() if name.startswith(begins)), "")
    install = f", or there: apt install {package}" if package else ""
    return BadRequest(f"{program} needs {kind} {file}, {lacks}", hint=_STATICALLY + install)


def _starter(program: str, finds: str) -> str:
    return "run.command starts" if program == finds else f"{program} is started by env with"
