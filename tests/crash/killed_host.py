"""The server side, ended at a moment that a test chooses. Runs instead of `python` on the server:

    python -I -S killed_host.py ACTS WHEN SIGNAL -c STAGE0 ARGUMENTS...

Runs STAGE0 as `python -c` would. Before every durable act, writes the name of the act into the file ACTS. At WHEN,
sends SIGNAL (or several: A,B) to itself. WHEN "act N" is the N-th act; "NAME+K" is the K-th act after the first act
NAME (where * matches anything); "after S" is S seconds after the start; "never" is never. SIGKILL comes before the
announced act is done.

If SIGNAL is the name of an error (`ENOSPC`), the act fails instead; with `ENOSPC+`, so does every later act, as on a
disk that stays full. Then only acts that change files count, and every fsync(2) is an act of its own.

If SIGNAL is `+1h` or `-1h`, the clock of this side jumps by so much at the act, and nothing ends.

If a file `compiled` is beside ACTS, this side takes the code of what arrives from there, as tests/harness/compiled.py.

An act is what teal_host.ground.files announces to its witness. Each single change of a name that nothing announces is
an act, too: in the removal of a tree, or because somebody forgot to announce it.
"""

import builtins
import datetime
import errno
import os
import shutil  # noqa: F401 - before InOrder, because shutil checks once whether os.scandir takes descriptors
import signal
import sys
import tempfile
import threading
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

CHANGES = ("os.remove", "os.rmdir", "os.rename", "os.symlink", "os.mkdir")
ANNOUNCE: dict[str, tuple[str, ...]] = {
    "remove tree ": (),
    "remove ": ("os.remove",),
    "prepare link ": ("os.remove", "os.symlink"),
    "turn link ": ("os.rename",),
    "rename ": ("os.rename",),
    "move ": ("os.rename",),
    "make directory ": ("os.mkdir",),
}
SCRATCH = f"{tempfile.gettempdir()}/teal-"  # what does not last is not announced
HARNESS = Path(__file__).parents[1] / "harness"
ENDED = "(here it was ended)"
FSYNC = os.fsync
SCANDIR = os.scandir
NO_FILE = ("run ", "spawn ", "signal ")


class Failing:
    """An error with which acts fail, once or from then on."""

    def __init__(self, name: str) -> None:
        self.stays = name.endswith("+")
        self.number = getattr(errno, name.removesuffix("+"))
        self.began = False

    def fail(self) -> None:
        self.began = True
        raise OSError(self.number, os.strerror(self.number))


class Clock:
    """The time of day, as the server side sees it."""

    ahead_s = 0.0
    real = time.time

    @classmethod
    def now(cls) -> float:
        return cls.real() + cls.ahead_s

    @classmethod
    def jump(cls, by: str) -> None:
        cls.ahead_s = float(by.removesuffix("h")) * 3600


class Moment(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "Moment":
        return cls.fromtimestamp(Clock.now(), tz)


class Witness:
    """Counts acts, writes them down, and ends this process at the chosen act."""

    def __init__(self, acts: str, when: str, how: str) -> None:
        self._file = os.open(acts, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._when = when
        self._failing = Failing(how) if how.startswith("E") else None
        self._jump = how if how.endswith("h") else ""
        named = [] if self._failing or self._jump else how.split(",")
        self._numbers = [signal.Signals[name] for name in named]
        self._names: list[str] = []
        self._done: set[str] = set()  # the changes that the last act announced

    def __call__(self, act: str) -> None:
        if self._failing and act.startswith(NO_FILE):
            return
        self._names.append(act)
        self._done.clear()
        os.write(self._file, f"{act}\n".encode())
        if self._is_now():
            self.end()
        elif self._failing and self._failing.stays and self._failing.began:
            self._failing.fail()

    def end(self) -> None:
        os.write(self._file, f"{ENDED}\n".encode())
        if self._failing:
            self._failing.fail()
        if self._jump:
            Clock.jump(self._jump)
        for number in self._numbers:
            os.kill(os.getpid(), number)

    def fsync(self, fd: Any) -> None:
        self(f"fsync after {self._names[-1] if self._names else 'nothing'}".replace("fsync after fsync", "fsync"))
        FSYNC(fd)

    def audit(self, event: str, values: tuple[Any, ...]) -> None:
        """An audit hook: a change of a name that no act has announced counts as an act, too."""
        if event not in CHANGES or str(values[0]).startswith(SCRATCH):
            return
        last = self._names[-1] if self._names else ""
        verb = next((verb for verb in ANNOUNCE if last.startswith(verb)), "")
        if event in ANNOUNCE.get(verb, ()) and event not in self._done:
            self._done.add(event)
        else:
            self(f"{event} {Path(values[0]).name}")

    def _is_now(self) -> bool:
        kind, _, value = self._when.partition(" ")
        if kind == "act":
            return len(self._names) == int(value)
        name, _, past = self._when.rpartition("+")
        numbers = [number for number, act in enumerate(self._names) if fnmatchcase(act, name)]
        return bool(numbers) and numbers[0] + int(past) == len(self._names) - 1


class InOrder:
    """os.scandir, sorted by name.

    Without sorting, the order of a directory and so the n-th act would differ in each round.
    """

    def __init__(self, path: Any = ".") -> None:
        with SCANDIR(path) as entries:
            self._entries = iter(sorted(entries, key=lambda entry: entry.name))

    def __enter__(self) -> "InOrder":
        return self

    def __exit__(self, *_: object) -> None:
        """Does nothing, because os.scandir has already read the directory."""

    def __iter__(self) -> "InOrder":
        return self

    def __next__(self) -> Any:
        return next(self._entries)


def attach(witness: Witness) -> None:
    """Replaces teal_host.ground.files.witness once that module, which arrives through the pipe, is imported."""
    real = builtins.__import__

    def importing(name: str, *rest: Any, **named: Any) -> Any:
        module = real(name, *rest, **named)
        files: Any = sys.modules.get("teal_host.ground.files")
        if hasattr(files, "witness"):
            files.witness = witness
            builtins.__import__ = real
        return module

    builtins.__import__ = importing
    os.scandir = InOrder  # type: ignore[assignment]
    sys.addaudithook(witness.audit)


def main() -> None:
    acts, when, how, minus_c, stage0, *arguments = sys.argv[1:]
    assert minus_c == "-c"
    witness = Witness(acts, when, how)
    code = Path(acts).with_name("compiled")
    if code.exists():
        sys.path.insert(0, str(HARNESS))
        from compiled import Compiled  # type: ignore[import-not-found]

        builtins.compile = Compiled(code)
    if how.startswith("E"):
        os.fsync = witness.fsync
    if how.endswith("h"):
        time.time, datetime.datetime = Clock.now, Moment  # type: ignore[misc]
    if when.startswith("after "):
        timer = threading.Timer(float(when.split()[1]), witness.end)
        timer.daemon = True
        timer.start()
    attach(witness)
    sys.argv = ["-c", *arguments]
    exec(stage0, {"__name__": "__main__"})


if __name__ == "__main__":
    main()
