"""One thing that setup does: said first, then done exactly so. Made only where something is not as it should be."""

import difflib
import hashlib
from pathlib import Path
from typing import Callable, Iterator, Optional, Tuple

from teal_host import files, footprint
from teal_host.paths import AppPaths
from teal_host.wire.reports import Change
from teal_host.wire.values import dataclass

_DIFF_LINES = 200


@dataclass(frozen=True)
class Act:
    """`edited`: a hand has changed what it would write over."""

    says: str
    do: Callable[[], None]
    diff: Tuple[str, ...] = ()
    edited: bool = False

    @property
    def change(self) -> Change:
        return Change(self.says, self.diff, self.edited)


@dataclass(frozen=True)
class Wanted:
    """A file as it should be, of this app."""

    paths: AppPaths
    path: Path
    text: str
    mode: int = 0o644

    @property
    def is_so(self) -> bool:
        return text_of(self.path) == self.text and self.path.stat().st_mode & 0o7777 == self.mode

    def write(self) -> None:
        footprint.remember(self.paths, self.path, digest(self.text))
        files.make_dir(self.path.parent)
        files.write(self.path, self.text, self.mode)


def write(wanted: Wanted, do: Optional[Callable[[], None]] = None, also: str = "") -> Iterator[Act]:
    """Make the file what it should be, if it is not. What Teal did not write itself counts as edited by hand.

    `do`: how, when it takes more than writing; `also` says what more.
    """
    if wanted.is_so:
        return
    now = text_of(wanted.path)
    by_hand = now is not None and not footprint.load(wanted.paths).wrote(wanted.path, digest(now))
    says = f"write {wanted.path}" if now is None else f"change {wanted.path}"
    says += ", which was edited by hand" if by_hand else ""
    yield Act(says + also, do or wanted.write, _diff(now, wanted.text) if now is not None else (), by_hand)


def text_of(path: Path) -> Optional[str]:
    try:
        return path.read_text(errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None


def digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _diff(now: str, wanted: str) -> Tuple[str, ...]:
    lines = difflib.unified_diff(now.splitlines(), wanted.splitlines(), "is", "will be", lineterm="", n=1)
    return tuple(line.encode(errors="replace").decode() for line in lines)[:_DIFF_LINES]
