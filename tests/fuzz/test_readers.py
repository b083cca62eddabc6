"""Each reader gives a value, or the error of its door: never another exception, a hang, or memory without a bound.

`TEAL_FUZZ_S` says for how many seconds in all; `script/guarantees --run fuzz` drives an hour.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from fuzz import disk, laptop, machine, messages
from fuzz.engine import CORPUS, Target, drive

SECONDS = float(os.environ.get("TEAL_FUZZ_S", "36"))
GROUPS = {
    "messages": messages.TARGETS,
    "the disk": disk.TARGETS,
    "the machine": machine.TARGETS,
    "the laptop": laptop.TARGETS,
}
ALL = [target for group in GROUPS.values() for target in group]


@pytest.mark.row("S36")
@pytest.mark.timeout(SECONDS + 600)
@pytest.mark.parametrize("group", GROUPS.values(), ids=GROUPS)
def test_reader_gives_a_value_or_its_own_error_for_any_input(
    group: Sequence[Target], tmp_path: Path, counted: Callable[..., None]
) -> None:
    inputs = 0
    for target in group:
        folder = tmp_path / target.name
        folder.mkdir()
        try:
            inputs += drive(target, folder, SECONDS / len(ALL))
        except BaseException as error:
            error.add_note(f"of the target {target.name}")
            raise
    counted(inputs=inputs)


def test_corpus_is_small_and_each_of_its_folders_is_a_targets() -> None:
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert len(files) <= 80
    assert sum(path.stat().st_size for path in files) <= 100_000
    assert {path.parent.name for path in files} <= {target.name for target in ALL}
