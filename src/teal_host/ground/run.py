"""The only place that starts programs: by argv, with a deadline, never through a shell."""

import contextlib
import errno
import os
import pwd
import re
import select
import signal
import subprocess
import threading
from pathlib import Path
from typing import IO, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, cast

from teal_host.ground import files, processes
from teal_host.ground.errors import CannotRun, NoProcess
from teal_host.ground.processes import Life
from teal_host.wire.values import dataclass

_BLOCK, _LONGEST_LINE = 64 * 1024, 4 * 1024 * 1024  # of output that is read line by line
NO_ROOM = (errno.EAGAIN, errno.ENOMEM)  # for another process
_LESS = "end on that machine what takes so much (ps, top), then the same command again"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # as systemd gives it to its services
_FOR_ROOT = ("SUDO_USER", "http_proxy", "https_proxy", "no_proxy")  # apt finds its way by the last three
_PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "USER", "LOGNAME")


@dataclass(frozen=True)
class Ran:
    code: int
    output: str

    @property
    def lines(self) -> List[str]:
        return self.output.splitlines()


def run(argv: Sequence[str], deadline_s: float) -> Ran:
    """Run to the end; output and errors together, in the C locale. Raises CannotRun when it cannot or is too slow."""
    files.witness(f"run {Path(argv[0]).name} {' '.join(argv[1:2])}")
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=deadline_s,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CannotRun(f"{argv[0]} did not end within {deadline_s:g} s") from None
    except OSError as error:
        raise not_started(argv[0], error) from None
    return Ran(done.returncode, done.stdout.decode(errors="replace"))


def output_lines(argv: Sequence[str], silent_s: float) -> Iterator[bytes]:
    """The lines of a program's output as they are taken, and none of them is stored. The program ends with the
    iteration. Raises CannotRun when it cannot run, writes nothing for so long, or fails: then its lines are not all.
    """
    files.witness(f"run {Path(argv[0]).name} {' '.join(argv[1:2])}")
    errors = os.memfd_create("errors")  # a pipe that nobody empties would stop the program
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "LC_ALL": "C"},
        )
        with child:
            try:
                yield from _lines_of(cast("IO[bytes]", child.stdout).fileno(), argv[0], silent_s)
                _check_succeeded(child, argv[0], silent_s, errors)
            finally:
                child.kill()
    except OSError as error:
        raise not_started(argv[0], error) from None
    finally:
        os.close(errors)


def _check_succeeded(child: "subprocess.Popen[bytes]", name: str, within_s: float, errors: int) -> None:
    try:
        code = child.wait(within_s)
    except subprocess.TimeoutExpired:
        raise CannotRun(f"{name} did not end within {within_s:g} s") from None
    if code:
        how = f"was ended by signal {-code}" if code < 0 else f"exited with code {code}"
        words = os.pread(errors, _BLOCK, 0).decode(errors="replace").splitlines()
        raise CannotRun(f"{name} {how} before it had written everything", words[-3:])


def _lines_of(pipe: int, name: str, silent_s: float) -> Iterator[bytes]:
    """Of a line that is too long only the beginning."""
    rest, block = b"", b"-"
    while block:
        if not select.select([pipe], [], [], silent_s)[0]:
            raise CannotRun(f"{name} wrote nothing for {silent_s:g} s")
        block = os.read(pipe, _BLOCK)
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
        rest = rest[:_LONGEST_LINE]
    if rest:
        yield rest


def not_started(name: str, error: OSError) -> CannotRun:
    """Also a fork fails, where the limit of processes or the memory is used up: that is no word on the program."""
    if error.errno == errno.ENOMEM:
        return NoProcess(f"cannot run {name}: this machine has run out of memory: {error.strerror}", hint=_LESS)
    if error.errno in NO_ROOM:
        return _no_process(f"cannot run {name}", error.strerror or "")
    return CannotRun(f"cannot run {name}: {error.strerror}")


def start_thread(thread: threading.Thread) -> None:
    """Raises NoProcess: the kernel counts threads as processes."""
    try:
        thread.start()
    except RuntimeError as error:
        raise _no_process("cannot start a thread", str(error)) from None


def _no_process(what: str, why: str) -> NoProcess:
    return NoProcess(f"{what}: this machine has run out of processes (or a limit of them): {why}", hint=_LESS)


@dataclass(frozen=True)
class Program:
    """A program to be started and left running: what, with which environment, where, and where its output goes."""

    argv: Sequence[str]
    env: Dict[str, str]
    cwd: Path
    log: Path


def use_environment_of_the_system() -> None:
    """On a server, before any program is started. sshd, PAM or sudo can let a client's words through to root, and many
    a program obeys them: LD_PRELOAD, OPENSSL_CONF, DBUS_SYSTEM_BUS_ADDRESS, SYSTEMD_*, NGINX, PATH.
    """
    words = {name: os.environ[name] for name in _FOR_ROOT if name in os.environ}
    user = pwd.getpwuid(os.geteuid())
    os.environ.clear()
    os.environ.update(words, PATH=SYSTEM_PATH, HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)


def passed_on() -> Dict[str, str]:
    """What a program of one's own finds of the environment of its user."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def spawn(program: Program) -> "subprocess.Popen[bytes]":
    """Start it in a session of its own, so that it outlives this side. Raises OSError when it cannot be executed."""
    output = files.open_log(program.log)
    files.witness(f"spawn {Path(program.argv[0]).name}")
    try:
        return subprocess.Popen(
            list(program.argv),
            cwd=program.cwd,
            env=program.env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    finally:
        os.close(output)


@dataclass(frozen=True)
class Command:
    """A command whose input and output are ours. `user`: whose it is; None: whoever runs this."""

    argv: Sequence[str]
    env: Dict[str, str]
    cwd: Path
    user: Optional[str] = None


class Ends(NamedTuple):
    """Descriptors of three pipes: those of the command, or ours."""

    stdin: int
    stdout: int
    stderr: int


class Piped:
    """A command that runs, and our ends of its pipes. `pidfd` is readable when it has ended."""

    def __init__(self, ends: Ends, pidfd: int) -> None:
        self.stdin, self.stdout, self.stderr = ends
        self.pidfd = pidfd
        os.set_blocking(self.stdin, False)

    def close_stdin(self) -> None:
        """Its input is over."""
        os.close(self.stdin)

    def end(self, grace_s: float) -> int:
        """Ask it to end, wait, then end it with all that it started; any thread may. Gives its exit code, or a negative
        number for the signal that ended it."""
        raise NotImplementedError

    def ended(self, within_s: float) -> bool:
        return bool(select.select([self.pidfd], [], [], within_s)[0])


class PipedChild(Piped):
    """In a session of its own, so that its whole group can be ended."""

    def __init__(self, child: "subprocess.Popen[bytes]", ends: Ends) -> None:
        super().__init__(ends, os.pidfd_open(child.pid))
        self._child = child
        self._ending = threading.RLock()

    def end(self, grace_s: float) -> int:
        with self._ending:
            if self._child.returncode is None:  # until it is waited for, its group's number is nobody else's
                if not self.ended(0):
                    _signal_group(self._child.pid, signal.SIGTERM)
                    self.ended(grace_s)
                _signal_group(self._child.pid, signal.SIGKILL)
            return self._child.wait()


@contextlib.contextmanager
def pipes(user: Optional[str]) -> Iterator[Tuple[Ends, Ends]]:
    """The ends of a command, which its user may open anew (`/dev/stderr`), and ours. Its own are closed here then."""
    (stdin, feeds), (tells, stdout), (warns, stderr) = (os.pipe() for _ in range(3))
    try:
        for end in (stdin, stdout, stderr) if user else ():
            os.fchown(end, pwd.getpwnam(user or "").pw_uid, -1)
        yield Ends(stdin, stdout, stderr), Ends(feeds, tells, warns)
    finally:
        for end in (stdin, stdout, stderr):
            os.close(end)


def spawn_piped(command: Command) -> Piped:
    """Raises OSError when it cannot be executed."""
    files.witness(f"spawn {Path(command.argv[0]).name}")
    owner = pwd.getpwnam(command.user) if command.user else None
    with pipes(command.user) as (command_ends, teal_ends):
        child = subprocess.Popen(
            list(command.argv),
            cwd=command.cwd,
            env=command.env,
            stdin=command_ends.stdin,
            stdout=command_ends.stdout,
            stderr=command_ends.stderr,
            start_new_session=True,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=os.getgrouplist(owner.pw_name, owner.pw_gid) if owner else None,
            umask=0o077,
        )
    return PipedChild(child, teal_ends)


def why(error: OSError, name: str, cwd: Path) -> str:
    """The kernel says `No such file` also of a file that is there, when the interpreter or loader it names is not."""
    path = cwd / name
    if error.errno == errno.ENOENT and "/" in name and path.is_file():
        with contextlib.suppress(OSError), path.open("rb") as file:  # a prune may remove it meanwhile
            head = file.read(16 * 1024)
            interpreter = re.match(rb"#![ \t]*(\S+)", head) or re.search(rb"(/[\w./-]*/ld[\w.-]*)\0", head)
            return f"its interpreter {interpreter[1].decode(errors='replace') if interpreter else ''} is not there"
    return str(error.strerror)


def _signal_group(leader: int, number: signal.Signals) -> None:
    files.witness(f"signal {number.name}")
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def signal_life(life: Life, number: signal.Signals) -> None:
    """Signal this process, and none that took over its number."""
    send_signal_if(life.pid, number, lambda: processes.life(life.pid) == life)


def send_signal_if(pid: int, number: signal.Signals, is_wanted: Callable[[], bool]) -> None:
    """The only way to signal a process by its number. A pidfd holds the process while `is_wanted` proves which one it
    is, so no stranger that took over the number is signalled. The process may be gone.
    """
    with contextlib.suppress(ProcessLookupError):
        held = os.pidfd_open(pid)
        try:
            if is_wanted():
                files.witness(f"signal {number.name}")
                signal.pidfd_send_signal(held, number)
        finally:
            os.close(held)
