"""One thing that setup does: said first, then done exactly so. Made only where something is not as it should be."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Callable, Iterator, Optional, Tuple

from teal_host.ground import files
from teal_host.ground.paths import AppPaths
from teal_host.state import footprint
from teal_host.wire.reports import Change
from teal_host.wire.values import dataclass

_DIFF_LINES = 200


@dataclass(frozen=True)
class SetupChange:
    """`edited`: a hand has changed what it would write over. `unserves`: names that would be served no more.

    `text`: of a file that is not there yet. `part`: of the server, in a word.
    """

    says: str
    do: Callable[[], None]
    diff: Tuple[str, ...] = ()
    edited: bool = False
    unserves: Tuple[str, ...] = ()
    is_note: bool = False
    part: str = "setup"
    text: Tuple[str, ...] = ()

    @property
    def change(self) -> Change:
        return Change(self.says, self.diff, self.edited, self.unserves, self.text)


def note(says: str) -> SetupChange:
    """Nothing to do, but to be known."""
    return SetupChange(says, lambda: None, is_note=True)


@dataclass(frozen=True)
class DesiredFile:
    """A file as it should be, of this app."""

    paths: AppPaths
    path: Path
    text: str
    mode: int = 0o644

    @property
    def is_so(self) -> bool:
        if files.text_of(self.path) != self.text or self.path.is_symlink():
            return False
        told = self.path.stat()
        return (told.st_mode & 0o7777, told.st_uid) == (self.mode, os.geteuid())

    def write(self) -> None:
        self.remember()
        files.make_dir(self.path.parent)
        files.write(self.path, self.text, self.mode)

    def remember(self) -> None:
        """What will be there, said before it is done."""
        if not self.path.parent.is_dir():
            footprint.remember_made(self.paths, self.path.parent)
        footprint.remember(self.paths, self.path, digest(self.text))


def write(
    wanted: DesiredFile, do: Optional[Callable[[], None]] = None, also: str = "", before: str = ""
) -> Iterator[SetupChange]:
    """Make the file what it should be, if it is not. What Teal did not write itself counts as edited by hand.

    `do`: how, when it takes more than writing; `also` says what more; `before`: what Teal left in a file of all apps.
    """
    if wanted.is_so:
        return
    now = files.text_of(wanted.path)
    by_hand = now is not None and now != before and (bool(before) or not _wrote(wanted, now))
    says = f"write {wanted.path}" if now is None else f"change {wanted.path}"
    says += ", which was edited by hand" if by_hand else ""
    act = SetupChange(says + also, do or wanted.write, edited=by_hand)
    if now is None:
        yield replace(act, text=tuple(wanted.text.splitlines()[:_DIFF_LINES]))
    else:
        yield replace(act, diff=_diff(now, wanted.text))


def _wrote(wanted: DesiredFile, text: str) -> bool:
    return footprint.load(wanted.paths).wrote(wanted.path, digest(text))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _diff(now: str, wanted: str) -> Tuple[str, ...]:
    import difflib

    lines = difflib.unified_diff(now.splitlines(), wanted.splitlines(), "is", "will be", lineterm="", n=1)
    return tuple(line.encode(errors="replace").decode() for line in lines)[:_DIFF_LINES]
