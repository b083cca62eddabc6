"""What a target is, and how it is driven: its corpus first, then made inputs, until its time is over.

Each batch of inputs has its number as its seed, so a longer run tries what a shorter run has tried, and then more.
"""

import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from teal.ui.base import shown
from teal_host.wire import typed

CORPUS = Path(__file__).parent / "corpus"
BATCH = 40  # inputs
MOST_CPU_S = 8.0  # of one input; honest ones take milliseconds, also on a machine that measures coarsely
MOST_GROWN = 512 * 1024  # kilobytes of memory, by all inputs of a target


@dataclass(frozen=True)
class Target:
    """`read` gives what the reader would have Teal show; `errors` are those of the reader's door, and no others.

    `folder` of `read` is the input's own, and empty at first.
    """

    name: str
    read: Callable[[bytes, Path], object]
    inputs: st.SearchStrategy[bytes]
    errors: tuple[type[Exception], ...] = ()

    @property
    def corpus(self) -> list[Path]:
        return sorted((CORPUS / self.name).glob("*"))


def drive(target: Target, folder: Path, seconds: float) -> int:
    """How many inputs were tried."""
    grown, until, tried = _memory(), time.monotonic() + seconds, 0
    for path in target.corpus:
        check(target, path.read_bytes(), folder)
    while not tried or time.monotonic() < until:
        _batch(target, folder, tried // BATCH)
        tried += BATCH
    assert _memory() - grown < MOST_GROWN, f"{target.name} takes {_memory() - grown:,} kB more than before"
    return len(target.corpus) + tried


def _batch(target: Target, folder: Path, number: int) -> None:
    def one(data: bytes) -> None:
        check(target, data, folder)

    quiet = settings(max_examples=BATCH, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    seed(number)(quiet(given(target.inputs)(one)))()


def check(target: Target, data: bytes, folder: Path) -> None:
    """Raises AssertionError, or what the reader should not have raised."""
    began = time.process_time()
    try:
        value = target.read(data, folder)
    except target.errors as error:
        value = [str(error), *(getattr(error, name, "") for name in ("message", "evidence", "hint"))]
    spent = time.process_time() - began
    assert spent < MOST_CPU_S, f"{target.name}: {spent:.1f} s of a processor"
    for text in _texts(typed.encode(value)):
        assert all(letter.isprintable() or letter == "\t" for letter in shown(text)), text


def corpus(name: str) -> st.SearchStrategy[bytes]:
    """The files of the corpus, as the beginning of mutations."""
    return st.sampled_from([path.read_bytes() for path in sorted((CORPUS / name).glob("*"))])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in (*value, *value.values()):
            yield from _texts(item)
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for item in value:
            yield from _texts(item)


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
