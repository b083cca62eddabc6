"""One change that setup will make: a description for the plan, and the function that makes the change.

A preparation creates a change only if something differs from what it should be.
"""

import hashlib
import os
import stat
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
    """`edited`: somebody edited the file that the change overwrites. `unserves`: names that the app no longer serves.

    `downgrades`: a newer Teal wrote what the change overwrites. `text`: of a new file. `part`: which part of the server
    changes, in a word. `is_optional`: of nftables, which may not be there; the app is served without it.
    """

    description: str
    do: Callable[[], None]
    diff: Tuple[str, ...] = ()
    edited: bool = False
    unserves: Tuple[str, ...] = ()
    is_note: bool = False
    part: str = "setup"
    text: Tuple[str, ...] = ()
    downgrades: bool = False
    is_optional: bool = False

    @property
    def change(self) -> Change:
        return Change(self.description, self.diff, self.edited, self.unserves, self.text, self.downgrades)


def note(text: str) -> SetupChange:
    """Changes nothing; the user should know it."""
    return SetupChange(text, lambda: None, is_note=True)


@dataclass(frozen=True)
class DesiredFile:
    """A file of this app as it should be."""

    paths: AppPaths
    path: Path
    text: str
    mode: int = 0o644

    @property
    def is_so(self) -> bool:
        status, is_of = files.status_of(self.path, follow=False), (stat.S_IFREG | self.mode, os.geteuid())
        return status is not None and (status.st_mode, status.st_uid) == is_of and files.text_of(self.path) == self.text

    def write(self) -> None:
        self.remember()
        files.make_dir(self.path.parent)
        files.write(self.path, self.text, self.mode)

    def remember(self) -> None:
        """The footprint names the file before the file changes."""
        if not self.path.parent.is_dir():
            footprint.remember_made(self.paths, self.path.parent)
        footprint.remember(self.paths, self.path, digest(self.text))


def write(
    desired: DesiredFile, do: Optional[Callable[[], None]] = None, also: str = "", before: str = ""
) -> Iterator[SetupChange]:
    """Makes the file what it should be. A text that Teal did not write counts as edited by hand.

    `do` replaces the plain writing, and `also` describes what `do` does more. `before` is the text that Teal last wrote
    into a file of all apps.
    """
    if desired.is_so:
        return
    now = files.text_of(desired.path)
    by_hand = now is not None and now != before and (bool(before) or not _wrote(desired, now))
    description = f"write {desired.path}" if now is None else f"change {desired.path}"
    description += ", which was edited by hand" if by_hand else ""
    change = SetupChange(description + also, do or desired.write, edited=by_hand)
    if now is None:
        yield replace(change, text=tuple(desired.text.splitlines()[:_DIFF_LINES]))
    else:
        yield replace(change, diff=_diff(now, desired.text))


def _wrote(desired: DesiredFile, text: str) -> bool:
    return footprint.load(desired.paths).wrote(desired.path, digest(text))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _diff(now: str, desired: str) -> Tuple[str, ...]:
    import difflib

    lines = difflib.unified_diff(now.splitlines(), desired.splitlines(), "is", "will be", lineterm="", n=1)
    return tuple(line.encode(errors="replace").decode() for line in lines)[:_DIFF_LINES]
