"""The processes of a cgroup while systemd makes and removes cgroups in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.background import repeated
from teal_host.supervisors.systemd import _members


@contextmanager
def coming_and_going(folder: Path) -> Iterator[None]:
    def churn() -> None:
        (folder / "inner").mkdir(parents=True)
        (folder / "inner").rmdir()
        folder.rmdir()

    with repeated(churn):
        yield


def test_cgroup_counts_as_empty_when_it_vanishes_while_being_listed(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("7\n8\n")
    (tmp_path / "below").mkdir()
    (tmp_path / "below/cgroup.procs").write_text("9\n")
    with coming_and_going(tmp_path / "passing"):
        assert all(_members(tmp_path) == {7, 8, 9} for _ in range(2000))


def test_cgroup_has_no_members_when_it_is_gone(tmp_path: Path) -> None:
    assert _members(tmp_path / "gone") == set()
