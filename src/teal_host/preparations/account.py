"""The app's own system user, and the directories of that user and of root."""

import pwd
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Iterator, Optional

from teal_host.ground import files, processes
from teal_host.ground.errors import BadRequest, CannotRun
from teal_host.ground.paths import AppPaths
from teal_host.ground.remedies import on_server
from teal_host.ground.run import run, send_signal_if
from teal_host.preparations.base import Intent
from teal_host.preparations.change import SetupChange
from teal_host.state import footprint
from teal_host.state.footprint import Footprint

_PROGRAM_S = 30.0
_PAUSE_S = 0.02
_ROOT = 0
_SERVICES = ("nginx", "sudo", "private")  # each has, or will have, a directory of this name in /var/lib


def changes(intent: Intent) -> Iterator[SetupChange]:
    user, paths = intent.user, intent.app.paths
    _check_data_is_own(intent)
    _check_writable_folders(intent)
    if find(user) is None:
        yield SetupChange(f"make the system user {user}", partial(add_user, user, paths.data, "/usr/sbin/nologin"))
    yield from directory(paths, Folder(paths.releases, 0o750, user, read_only=True))
    yield from directory(paths, Folder(paths.data, 0o700, user))


def find(user: str) -> Optional[pwd.struct_passwd]:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        return None


def add_user(user: str, home: Path, shell: str) -> None:
    """A system user with a group of its own, without a password and without a home."""
    names = ["--system", "--user-group", "--no-create-home", "--home-dir", str(home), "--shell", shell]
    added = run(["useradd", *names, "--password", "*", user], _PROGRAM_S)
    if added.code:
        raise CannotRun(f"cannot make the user {user}", added.lines[-3:])


def end_processes(user: str) -> None:
    """Such as a command of `teal exec`, or a login with a deploy key."""
    entry = find(user)
    if entry:
        _end_all(entry.pw_uid)


def remove_user(user: str) -> None:
    """Its processes end first."""
    if find(user):
        end_processes(user)
        removed = run(["userdel", user], _PROGRAM_S)
        if removed.code:
            raise CannotRun(
                f"cannot remove the user {user}",
                removed.lines[-3:],
                "try again",
            )


def is_foreign(data: Path, own: Footprint, user: str) -> bool:
    """Does a data directory exist that setup did not make for this app?"""
    if str(data) in own.made and not data.is_symlink():
        return False
    entry = find(user)
    return data.is_symlink() or (data.exists() and (entry is None or data.stat().st_uid != entry.pw_uid))


def _end_all(uid: int) -> None:
    deadline = time.monotonic() + _PROGRAM_S
    while pids := processes.of_user(uid):
        for pid in pids:
            send_signal_if(pid, signal.SIGKILL, lambda pid=pid: processes.uids(pid)[:1] == (uid,))  # type: ignore[misc]
        if time.monotonic() > deadline:
            raise CannotRun(f"processes of the user {uid} do not end", [processes.name_of(pid) for pid in pids])
        time.sleep(_PAUSE_S)


def _check_data_is_own(intent: Intent) -> None:
    """An app with the name of a service would get that service's directory."""
    hint = "choose another name for the app in teal.toml"
    if intent.app.name in _SERVICES:
        raise BadRequest(f'"{intent.app.name}" is the name of a service on a server', hint=hint)
    data = intent.app.paths.data
    if is_foreign(data, intent.footprint, intent.user):
        raise BadRequest(f"{data} is on this server already, and no setup of this app made it", hint=hint)


def _check_writable_folders(intent: Intent) -> None:
    user = intent.user
    for folder in intent.agreed.sandbox.writable:
        if not Path(folder).is_dir():
            hint = f"{on_server(f'mkdir -p {folder}')}; then teal setup; then {on_server(f'chown {user}: {folder}')}"
            raise BadRequest(f"[sandbox] writable: this server has no directory {folder}", hint=hint)


@dataclass(frozen=True)
class Folder:
    """A directory as it should be. `read_only`: the directory is root's, and the user may only read there."""

    path: Path
    mode: int
    user: str
    read_only: bool = False

    @property
    def is_so(self) -> bool:
        entry = find(self.user)
        if entry is None or not self.path.is_dir():
            return False
        status, owner = self.path.stat(), _ROOT if self.read_only else entry.pw_uid
        return (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (self.mode, owner, entry.pw_gid)

    def make(self, paths: AppPaths) -> None:
        """The footprint names the directory first, so that destroy finds it."""
        entry = find(self.user)
        assert entry, "an earlier change made the user"
        footprint.remember_made(paths, self.path)
        files.make_dir(self.path, 0o700)
        files.own(self.path, _ROOT if self.read_only else entry.pw_uid, entry.pw_gid, self.mode)


def directory(paths: AppPaths, folder: Folder) -> Iterator[SetupChange]:
    if folder.is_so:
        return
    whose = f"for {folder.user} to read" if folder.read_only else f"for {folder.user}"
    yield SetupChange(f"make the directory {folder.path} {whose}", partial(folder.make, paths))
