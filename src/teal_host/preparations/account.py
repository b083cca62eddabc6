"""The app's own system user, and the directories of that user and of root."""

import os
import pwd
import signal
import stat
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Iterator, List, Optional

from teal_host.ground import files, processes, systemctl
from teal_host.ground.errors import BadRequest, CannotRun
from teal_host.ground.paths import AppPaths
from teal_host.ground.remedies import on_server
from teal_host.ground.run import run
from teal_host.preparations.base import Intent
from teal_host.preparations.change import SetupChange
from teal_host.state import footprint
from teal_host.state.footprint import Footprint
from teal_host.wire.sources import PYTHON

NO_HOME = Path("/nonexistent")
_CRON = Path("/var/spool/cron")
_ITSELF = "/."  # usermod takes no notice of the prefix "/"
_PROGRAM_S = 30.0
_PAUSE_S = 0.02
_ROOT = 0
_LOCKS = tuple(Path(f"/etc/{name}.lock") for name in ("passwd", "shadow", "group", "gshadow", "subuid", "subgid"))
_SERVICES = ("nginx", "sudo", "private")  # each has, or will have, a directory of this name in /var/lib


def changes(intent: Intent) -> Iterator[SetupChange]:
    user, paths = intent.user, intent.app.paths
    _check_data_is_own(intent)
    _check_writable_folders(intent)
    if find(user) is None:
        yield SetupChange(f"make the system user {user}", partial(_add_app_user, user))
    yield from directory(paths, Folder(paths.releases, 0o750, user, read_only=True))
    yield from directory(paths, Folder(paths.data, 0o700, user))


def shut_out(user: str) -> Iterator[SetupChange]:
    """A user of before, and only after the unit is written: the unit of before takes HOME from passwd."""
    entry = find(user)
    if entry is None or _is_shut_out(user):
        return
    text = f"shut {user} out: home {NO_HOME}, no login, no cron, no services of its own"
    jobs = [str(path) for path in _jobs(entry)]
    stays = f"; cron and at run these no longer, and teal destroy removes them: {', '.join(jobs)}" if jobs else ""
    yield SetupChange(f"{text}{stays}", partial(_shut_out, user))


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
        raise CannotRun(f"cannot make the user {user}", added.lines[-3:], _hint())


def _add_app_user(user: str) -> None:
    """useradd gives a system user no date on which it expires."""
    add_user(user, NO_HOME, "/usr/sbin/nologin")
    _shut_out(user)


def end_app(user: str) -> None:
    """Also that of an app which an older Teal has set up may not log in meanwhile."""
    if find(user):
        run(["usermod", "--expiredate=1", user], _PROGRAM_S)
        end_processes(user)


def end_processes(user: str) -> None:
    """Such as a command of `teal exec`, or a login with a deploy key. First whatever would start a new one."""
    entry = find(user)
    if entry:
        _end_lasting(entry)
        _end_all(entry.pw_uid)


def remove_user(user: str) -> None:
    """Its processes end first."""
    if find(user):
        end_processes(user)
        removed = run(["userdel", user], _PROGRAM_S)
        if removed.code:
            raise CannotRun(f"cannot remove the user {user}", removed.lines[-3:], _hint())


def _hint() -> str:
    """A lock that holds the number 1 is an older Teal's: its usermod was killed in a PID namespace."""
    stale = " ".join(str(path) for path in _LOCKS if (files.text_of(path) or "").strip("\0\n") == "1")
    return f"{on_server(f'rm {stale}')}, then the same command again" if stale else "try again"


def _is_shut_out(user: str) -> bool:
    """sshd, cron, at, su and a systemd of the user's own ask PAM, which rejects an account that has expired."""
    entry, shadow = find(user), files.text_of(Path("/etc/shadow")) or ""
    expires = [line.split(":")[7:8] for line in shadow.splitlines() if line.startswith(f"{user}:")]
    return expires == [["1"]] and entry is not None and entry.pw_dir == str(NO_HOME) and not _linger(user).exists()


def _shut_out(user: str) -> None:
    """The app runs on. For a new home usermod rejects a user who has processes. Below a prefix it does not look for
    any, and this prefix is the system itself. A PID namespace would hide them, too. But usermod writes its number there
    into its lock: after a power cut that is the number of a process that always lives, and no account could be changed.
    """
    changed = run(["usermod", "--expiredate=1", user], _PROGRAM_S)
    entry = find(user)
    if changed.code == 0 and entry and entry.pw_dir != str(NO_HOME):
        change = ["usermod", "--home", str(NO_HOME), user]
        changed = run(change, _PROGRAM_S)
        if changed.code:
            changed = run([*change[:1], "--prefix", _ITSELF, *change[1:]], _PROGRAM_S)
    if changed.code or entry is None:
        raise CannotRun(f"cannot change the user {user}", changed.lines[-3:], _hint())
    _end_services(entry)


def _end_lasting(entry: pwd.struct_passwd) -> None:
    """What an app can leave behind and something else starts: logins, services of the user's own systemd, cron, at."""
    _end_services(entry)
    for job in _jobs(entry):
        files.remove(job)


def _end_services(entry: pwd.struct_passwd) -> None:
    files.remove(_linger(entry.pw_name))
    systemctl.order("stop", f"user-{entry.pw_uid}.slice", _PROGRAM_S, lambda: True)  # it seldom exists


def _jobs(entry: pwd.struct_passwd) -> List[Path]:
    """The user's crontab and `at` jobs. An admin may have written them, so setup leaves them."""
    crontab = _CRON / "crontabs" / entry.pw_name
    crontabs = [crontab] if os.path.lexists(crontab) else []
    statuses = ((path, files.status_of(path, follow=False)) for path in sorted(_CRON.glob("at*/*")))
    return [*crontabs, *(path for path, status in statuses if status and status.st_uid == entry.pw_uid)]


def _linger(user: str) -> Path:
    """While it exists, systemd starts a manager for the user at boot."""
    return Path("/var/lib/systemd/linger", user)


def is_foreign(data: Path, own: Footprint, user: str) -> bool:
    """Does a data directory exist that setup did not make for this app?"""
    if str(data) in own.made and not data.is_symlink():
        return False
    entry, status = find(user), files.status_of(data)
    return data.is_symlink() or (status is not None and (entry is None or status.st_uid != entry.pw_uid))


def _end_all(uid: int) -> None:
    """By the kernel in one step, as this user: so no process forks faster than it is ended. Never as root.

    A process that forks and ends all the time is in no list, so the first kill asks none.
    """
    deadline = time.monotonic() + _PROGRAM_S
    end = f"import os; os.setuid({uid}); os.getuid() and os.kill(-1, {int(signal.SIGKILL)})"
    run([PYTHON, "-I", "-S", "-c", end], _PROGRAM_S)
    while pids := processes.of_user(uid):
        if time.monotonic() > deadline:
            raise CannotRun(f"processes of the user {uid} do not end", [processes.name_of(pid) for pid in pids])
        time.sleep(_PAUSE_S)
        run([PYTHON, "-I", "-S", "-c", end], _PROGRAM_S)


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
        entry, status = find(self.user), files.status_of(self.path)
        if entry is None or status is None:
            return False
        owner = _ROOT if self.read_only else entry.pw_uid
        return (status.st_mode, status.st_uid, status.st_gid) == (stat.S_IFDIR | self.mode, owner, entry.pw_gid)

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
