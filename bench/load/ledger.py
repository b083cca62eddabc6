"""Compares sent with handled requests: the program must handle each answered id exactly once. Deciding is pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Verdict:
    """`lost` requests got no correct answer.

    The program handled `doubled` requests more than once, whatever the answer.

    The program never handled `unseen` requests, although somebody answered them. Then another program answered, or the
    ledger is incomplete.
    """

    requests: int
    lost: int
    doubled: int
    unseen: int

    @property
    def clean(self) -> bool:
        return self.requests > 0 and not (self.lost or self.doubled or self.unseen)


def verdict(asked: Mapping[str, bool], handled: Mapping[str, int]) -> Verdict:
    """`asked` says for each id whether the request was answered."""
    return Verdict(
        len(asked),
        sum(not answered for answered in asked.values()),
        sum(handled.get(ident, 0) > 1 for ident in asked),
        sum(answered and not handled.get(ident, 0) for ident, answered in asked.items()),
    )


def read_asked(files: Iterable[Path]) -> dict[str, bool]:
    lines = (line.split() for path in files for line in path.read_text().splitlines())
    return {ident: answered == "+" for ident, answered in lines}


def read_handled(folder: Path) -> Counter[str]:
    """All ids that the programs with this data directory have written down."""
    return Counter(ident for path in folder.glob("ledger-*") for ident in path.read_text().splitlines())
