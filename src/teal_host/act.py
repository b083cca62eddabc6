"""One thing that setup does: said first, then done exactly so. Made only where something is not as it should be."""

import difflib
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, Iterator, Optional, Tuple

from teal_host import files
from teal_host.footprint import Footprint
from teal_host.wire.reports import Change

_DIFF_LINES = 200


@dataclass(frozen=True)
class Act:
    """`writes`: the files that it writes, with the digests that they will have. `edited`: a hand was there before."""

    says: str
    do: Callable[[], None]
    diff: Tuple[str, ...] = ()
    edited: bool = False
    writes: Dict[str, str] = field(default_factory=dict)

    @property
    def change(self) -> Change:
        return Change(self.says, self.diff, self.edited)


@dataclass(frozen=True)
class Wanted:
    """A file as it should be."""

    path: Path
    text: str
    mode: int = 0o644


def write(wanted: Wanted, footprint: Footprint, then: Callable[[], None] = lambda: None) -> Iterator[Act]:
    """Make the file what it should be, if it is not. What Teal did not write itself counts as edited by hand."""
    now = text_of(wanted.path)
    if now == wanted.text and wanted.path.stat().st_mode & 0o7777 == wanted.mode:
        return

    def do() -> None:
        files.make_dir(wanted.path.parent)
        files.write(wanted.path, wanted.text, wanted.mode)
        then()

    by_hand = now is not None and now != wanted.text and not footprint.wrote(wanted.path, digest(now))
    says = f"write {wanted.path}" if now is None else f"change {wanted.path}"
    says += ", which was edited by hand" if by_hand else ""
    writes = {str(wanted.path): digest(wanted.text)}
    yield Act(says, do, _diff(now, wanted.text) if now is not None else (), by_hand, writes)


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
