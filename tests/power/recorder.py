"""Listens to the system calls with which a story changes files, and updates a Disk accordingly."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from power.disk import Disk, File, Folder, Link

_CALLS = ("open", "fsync", "rename", "replace", "symlink", "unlink", "remove", "mkdir", "rmdir")


class Recorder:
    """Calls `before` at every call, done or not, and `after` after each act that a cut could follow, with its name."""

    def __init__(self, disk: Disk, after: Callable[[str], None], before: Callable[[], None] = lambda: None) -> None:
        self._disk = disk
        self._after = after
        self._before = before
        self._real = {name: getattr(os, name) for name in _CALLS}

    @contextmanager
    def listening(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in _CALLS:
                patch.setattr(os, name, partial(self._called, getattr(self, f"_{name}")))
            yield

    def _called(self, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        self._before()
        return call(*given, **named)

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        where = self._inside(path, dir_fd)
        fresh = where is not None and flags & os.O_CREAT and not os.path.lexists(where)
        descriptor: int = self._real["open"](path, flags, mode, dir_fd=dir_fd)
        if fresh and where is not None:
            self._disk.put(where, File(mode))
            self._note("create", where)
        return descriptor

    def _fsync(self, descriptor: int) -> None:
        where = self._inside(f"/proc/self/fd/{descriptor}", None, follow=True)  # a real fsync would only cost time
        node = self._disk.node(where) if where else None
        if where is None or node is None:
            return
        if isinstance(node, Folder):
            node.synced()
        elif isinstance(node, File):
            node.written, node.mode = where.read_bytes(), where.stat().st_mode & 0o777
            self._note("write", where)
            node.durable = node.written
        self._note("fsync", where)

    def _rename(self, source: Any, target: Any, **more: Any) -> None:
        self._real["rename"](source, target, **more)
        before, after = self._inside(source), self._inside(target)
        if before and after:
            self._catch_up(after, self._disk.node(before))
            self._disk.move(before, after)
            self._note("rename", after)

    _replace = _rename

    def _symlink(self, target: Any, path: Any, *more: Any, **named: Any) -> None:
        self._real["symlink"](target, path, *more, **named)
        where = self._inside(path)
        if where:
            self._disk.put(where, Link(os.fspath(target)))
            self._note("symlink", where)

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        where = self._inside(path, dir_fd)
        self._real["unlink"](path, dir_fd=dir_fd)
        if where and self._disk.node(where) is not None:
            self._disk.take(where)
            self._note("unlink", where)

    _remove = _unlink

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self._real["mkdir"](path, mode, dir_fd=dir_fd)
        where = self._inside(path, dir_fd)
        if where:
            self._disk.put(where, Folder(mode))
            self._note("mkdir", where)

    def _rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        where = self._inside(path, dir_fd)
        self._real["rmdir"](path, dir_fd=dir_fd)
        if where and self._disk.node(where) is not None:
            self._disk.take(where)
            self._note("rmdir", where)

    def _catch_up(self, where: Path, node: Any) -> None:
        """Takes over unsynced bytes: the program sees them, the disk does not have them."""
        if isinstance(node, File) and node.durable is None:
            node.written = where.read_bytes()

    def _inside(self, path: Any, dir_fd: int | None = None, follow: bool = False) -> Path | None:
        """The path below the disk's root, or None if it is outside."""
        text = os.readlink(path) if follow else os.fspath(path)
        if dir_fd is not None and not text.startswith("/"):
            text = f"{os.readlink(f'/proc/self/fd/{dir_fd}')}/{text}"
        absolute = Path(text)
        return absolute if self._disk.root in (absolute, *absolute.parents) else None

    def _note(self, act: str, where: Path) -> None:
        self._after(f"{act} {where.relative_to(self._disk.root)}")
