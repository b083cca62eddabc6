"""Teal changes files as a whole, announces each act beforehand, and never writes through a link."""

import errno
import os
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from teal_host.ground import files, trees

ORDINARY = (65534, 65534) if os.geteuid() == 0 else (os.geteuid(), os.getegid())


@pytest.fixture
def acts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The acts that Teal announced."""
    seen: list[str] = []
    monkeypatch.setattr(files, "witness", seen.append)
    return seen


@pytest.fixture
def wide_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def narrow_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o7777


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", ["", "é\n", b"", b"\x00\xff", "x" * 100_000])
def test_file_is_written_whole_and_leaves_no_temporary_file(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "file"
    files.write(path, "before")
    files.write(path, content)
    assert path.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert names(tmp_path) == ["file"]


@pytest.mark.row("F15")
@pytest.mark.usefixtures("wide_umask")
def test_file_mode_is_exact_under_a_wide_umask(tmp_path: Path) -> None:
    assert modes_made(tmp_path) == [0o600, 0o644, 0o755, 0o700, 0o444, 0o555, 0o600]


@pytest.mark.row("F15")
@pytest.mark.usefixtures("narrow_umask")
def test_file_mode_is_exact_under_a_narrow_umask(tmp_path: Path) -> None:
    assert modes_made(tmp_path) == [0o600, 0o644, 0o755, 0o700, 0o444, 0o555, 0o600]


def modes_made(folder: Path) -> list[int]:
    files.write(folder / "secret", "", mode=0o600)
    files.write(folder / "open", "")
    files.make_dir(folder / "a/b")
    files.make_dir(folder / "closed", 0o700)
    for name, executable in (("data", False), ("program", True)):
        with files.new_file(folder / name, executable):
            pass
    os.close(files.open_log(folder / "log"))
    return [mode(folder / name) for name in ("secret", "open", "a", "closed", "data", "program", "log")]


def test_reader_sees_the_old_or_the_new_file_and_never_a_part(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = {"a" * 100_000, "b" * 100_000}
    files.write(path, "a" * 100_000)
    seen: set[str] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        for content in contents:
            files.write(path, content)
    stop.set()
    reader.join()
    assert seen
    assert seen <= contents


def test_link_always_has_a_target_while_it_is_switched(tmp_path: Path) -> None:
    link = tmp_path / "live"
    files.turn_link(link, "blue")
    seen: set[str] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(str(link.readlink()))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(100):
        files.turn_link(link, "green")
        files.turn_link(link, "blue")
    stop.set()
    reader.join()
    assert seen
    assert seen <= {"blue", "green"}
    assert names(tmp_path) == ["live"]


CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "write": (lambda folder: files.write(folder / "f", "x"), ["write f", "rename f"]),
    "append": (lambda folder: files.append_line(folder / "f", "x"), ["append f"]),
    "turn": (lambda folder: files.turn_link(folder / "l", "x"), ["prepare link l", "turn link l"]),
    "make": (lambda folder: files.make_dir(folder / "a/b"), ["make directory a", "make directory b"]),
    "move": (lambda folder: files.move(folder / "old", folder / "new"), ["move new"]),
    "remove": (lambda folder: files.remove(folder / "old"), ["remove old"]),
    "remove tree": (lambda folder: trees.remove(folder / "tree"), ["remove tree tree"]),
    "seal": (lambda folder: files.seal_dirs(folder / "tree"), ["seal tree"]),
    "log": (lambda folder: os.close(files.open_log(folder / "log")), ["open log log"]),
}


@pytest.mark.parametrize(("change", "announced"), CHANGES.values(), ids=list(CHANGES))
def test_change_is_announced_before_it_is_made(
    tmp_path: Path,
    acts: list[str],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], object],
    announced: list[str],
) -> None:
    (tmp_path / "old").write_text("")
    (tmp_path / "tree").mkdir()
    change(tmp_path)
    assert acts == announced

    class KilledError(BaseException):
        pass

    def die(act: str) -> None:
        raise KilledError

    again = tmp_path / "again"
    again.mkdir()
    (again / "old").write_text("")
    (again / "tree").mkdir()
    monkeypatch.setattr(files, "witness", die)
    with pytest.raises(KilledError):
        change(again)
    assert names(again) == ["old", "tree"]
    assert mode(again / "tree") & 0o200


@pytest.mark.parametrize("leftover", ["file", "link"])
def test_write_succeeds_when_a_killed_writer_left_a_temporary_file(tmp_path: Path, leftover: str) -> None:
    for name in ("file", "link"):
        (tmp_path / f".{name}.tmp").symlink_to("/nonsense") if name == "link" else (
            tmp_path / f".{name}.tmp"
        ).write_text("?")
    if leftover == "file":
        files.write(tmp_path / "file", "new")
        assert (tmp_path / "file").read_text() == "new"
    else:
        files.turn_link(tmp_path / "link", "blue")
        assert str((tmp_path / "link").readlink()) == "blue"


@contextmanager
def limited(size: int) -> Iterator[None]:
    """No file can grow beyond this many bytes. The kernel writes what fits and reports no error, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.row("F2", "F16")
@pytest.mark.parametrize("before", ["", "one\n", "one\ncut"])
def test_append_is_undone_when_the_disk_takes_a_part_of_the_line(tmp_path: Path, before: str) -> None:
    path = tmp_path / "journal"
    path.write_text(before)
    for size in range(len(before), len(before) + len("another line") + 1):
        with pytest.raises(OSError) as full, limited(size):
            files.append_line(path, "another line")
        assert full.value.errno in (errno.ENOSPC, errno.EFBIG)  # the latter if nothing fits
        assert path.read_text() == before
    files.append_line(path, "another line")
    assert path.read_text().splitlines()[-1] == "another line"


def test_write_leaves_the_old_file_when_the_disk_takes_a_part(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write(path, "old")
    for size in (0, 1, 4096, 99_999):
        with pytest.raises(OSError), limited(size):
            files.write(path, "x" * 100_000)
        assert path.read_text() == "old"


def test_file_of_a_release_raises_when_the_disk_takes_a_part(tmp_path: Path) -> None:
    with pytest.raises(OSError), limited(99_999), files.new_file(tmp_path / "program", True) as file:
        file.write(b"x" * 100_000)


def test_holder_note_stops_no_command_when_the_disk_takes_a_part(tmp_path: Path) -> None:
    lock = files.open_lock(tmp_path / "lock")
    try:
        for size in (0, 3):
            with limited(size):
                files.note_holder(lock, '{"who": "me"}')
            assert (tmp_path / "lock").read_text() == '{"who": "me"}'[:size]
        files.note_holder(lock, "me")
        assert (tmp_path / "lock").read_text() == "me"
    finally:
        os.close(lock)


@pytest.mark.row("S15")
def test_write_never_follows_a_planted_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in (".file.tmp", "new", "log", "history", "lock"):
        (tmp_path / name).symlink_to(victim)
    tries: list[Callable[[], object]] = [
        lambda: files.write(tmp_path / "file", "x"),
        lambda: files.new_file(tmp_path / "new", False).__enter__(),
        lambda: files.open_log(tmp_path / "log"),
        lambda: files.append_line(tmp_path / "history", "x"),
        lambda: files.open_lock(tmp_path / "lock"),
    ]
    for attempt in tries:
        with pytest.raises(OSError):
            attempt()
    assert victim.read_text() == "precious"


def test_release_file_is_never_written_twice(tmp_path: Path) -> None:
    with files.new_file(tmp_path / "program", True) as file:
        file.write(b"1")
    with pytest.raises(FileExistsError), files.new_file(tmp_path / "program", True) as file:
        file.write(b"2")
    assert (tmp_path / "program").read_bytes() == b"1"


def test_sealed_tree_is_read_only_and_can_still_be_removed(tmp_path: Path) -> None:
    tree = tmp_path / "release"
    files.make_dir(tree / "a/b")
    with files.new_file(tree / "a/b/file", False) as file:
        file.write(b"x")
    files.seal_dirs(tree)
    assert {mode(path) for path in (tree, tree / "a", tree / "a/b")} == {0o555}
    trees.remove(tree)
    assert names(tmp_path) == []


@pytest.mark.row("S15")
def test_tree_removal_follows_no_link(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    precious.chmod(0o711)
    tree = tmp_path / "tree"
    (tree / "inside").mkdir(parents=True)
    (tree / "inside/link").symlink_to(precious)
    (tree / "gone").symlink_to("/nonsense")
    trees.remove(tree)
    assert names(precious) == ["file"]
    assert mode(precious) == 0o711


@pytest.mark.parametrize("remove", [files.remove, trees.remove, files.remove_if_empty])
def test_removal_does_nothing_when_the_path_is_already_gone(
    tmp_path: Path, acts: list[str], remove: Callable[[Path], None]
) -> None:
    remove(tmp_path / "nothing")
    assert acts == []


def test_directory_stays_when_it_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("")
    files.remove_if_empty(tmp_path / "full")
    assert names(tmp_path / "full") == ["file"]


def test_dangling_link_is_removed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    files.remove(tmp_path / "link")
    assert names(tmp_path) == []


def test_directory_is_left_unchanged_when_made_again(tmp_path: Path, acts: list[str]) -> None:
    files.make_dir(tmp_path / "a", 0o700)
    files.make_dir(tmp_path / "a", 0o755)
    assert (mode(tmp_path / "a"), acts) == (0o700, ["make directory a"])


def test_lock_note_replaces_a_longer_note(tmp_path: Path) -> None:
    lock = files.open_lock(tmp_path / "lock")
    files.note_holder(lock, "x" * 100)
    files.note_holder(lock, "short")
    os.close(lock)
    assert (tmp_path / "lock").read_text() == "short"


@pytest.mark.row("S8", "S16")
def test_tree_of_any_depth_and_kind_is_removed(tmp_path: Path) -> None:
    """As an app can make it that does not want to be destroyed."""
    tree, here = tmp_path / "tree", Path.cwd()
    tree.mkdir()
    os.mkfifo(tree / "fifo")
    (tree / "locked").mkdir()
    (tree / "locked/file").write_text("")
    (tree / "locked").chmod(0o000)
    try:
        os.chdir(tree)
        for _ in range(3000):
            Path("nested").mkdir()
            os.chdir("nested")
    finally:
        os.chdir(here)
    trees.remove(tree)
    assert names(tmp_path) == []


def test_ordinary_user_removes_folders_that_nobody_may_read(tmp_path: Path) -> None:
    """At cd5f48e a folder of mode 000 stopped destroy and prune on one's own machine."""
    (tmp_path / "tree/inner/innermost").mkdir(parents=True)
    (tmp_path / "tree/inner/innermost/file").write_text("")
    for folder in ("tree/inner/innermost", "tree/inner", "tree"):
        (tmp_path / folder).chmod(0o000)
        os.chown(tmp_path / folder, *ORDINARY)
    os.chown(tmp_path, *ORDINARY)
    assert as_ordinary_user(tmp_path, lambda: trees.remove(Path("tree"))) == ""
    assert names(tmp_path) == []


def test_folder_of_another_user_that_nobody_may_read_stays_with_an_error(tmp_path: Path) -> None:
    if os.geteuid():
        pytest.skip("only root gives a folder to another user")
    (tmp_path / "tree").mkdir(0o000)
    os.chown(tmp_path, *ORDINARY)
    assert "not permitted" in as_ordinary_user(tmp_path, lambda: trees.remove(Path("tree")))
    assert mode(tmp_path / "tree") == 0o000


def as_ordinary_user(folder: Path, act: Callable[[], None]) -> str:
    """The error of an act of a child without root's rights, which only knows `folder`."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        with os.fdopen(reading) as errors:
            error = errors.read()
        assert os.waitpid(child, 0)[1] == 0
        return error
    try:
        os.chdir(folder)
        if os.geteuid() == 0:
            os.setgroups([])
            os.setresgid(*[ORDINARY[1]] * 3)
            os.setresuid(*[ORDINARY[0]] * 3)
        act()
    except OSError as error:
        os.write(writing, str(error).encode())
    finally:
        os._exit(0)


@pytest.mark.row("S8")
def test_tree_that_is_filled_again_and_again_is_given_up_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trees, "REMOVED_WITHIN_S", 0.0)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("")
    with pytest.raises(OSError, match="not all of it is removed after 0 s"):
        trees.remove(tmp_path / "tree")


@pytest.mark.row("S8")
def test_million_names_are_read_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "_NAMES_AT_ONCE", 3)
    for number in range(20):
        (tmp_path / f"tree/a/{number}").mkdir(parents=True)
        (tmp_path / f"tree/{number}").write_text("")
    trees.remove(tmp_path / "tree")
    assert names(tmp_path) == []


def test_size_of_a_file_that_another_process_has_renamed_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a line\n")
    assert files.size_of(tmp_path / "audit") == 7
    assert files.size_of(tmp_path / "audit.1") == files.size_of(tmp_path / "audit" / "below") == 0


def test_what_is_absent_or_of_another_kind_is_asked_for_in_one_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("nowhere")
    for absent in (tmp_path / "none", tmp_path / "file" / "below"):
        assert (files.status_of(absent), files.link_target(absent)) == (None, None)
    assert files.link_target(tmp_path / "file") is files.link_target(tmp_path) is None
    assert files.link_target(tmp_path / "link") == Path("nowhere")
    assert (files.status_of(tmp_path / "link") is None, files.status_of(tmp_path / "link", follow=False) is None) == (
        True,
        False,
    )
    assert (files.names_in(tmp_path), files.names_in(tmp_path / "none")) == (["file", "link"], [])


def test_appended_line_makes_its_file_durable_when_the_one_before_was_just_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 1f740d8 only the file that was there a moment ago decided whether the directory is synced."""
    path, synced, opened = tmp_path / "audit", list[Path](), os.open
    path.write_text("a line\n")

    def renamed_just_before(name: Path, *more: int) -> int:
        if name == path and path.exists():
            path.rename(tmp_path / "audit.1")
        return opened(name, *more)

    monkeypatch.setattr(os, "open", renamed_just_before)
    monkeypatch.setattr(files, "sync_dir", synced.append)
    files.append_line(path, "another line")
    assert (names(tmp_path), synced) == (["audit", "audit.1"], [tmp_path])
