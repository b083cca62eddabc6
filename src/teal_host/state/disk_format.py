"""Files with a format number: strict in the keys that this Teal knows, open for those that a newer Teal adds.

A key that this Teal does not know is left out when the file is read, and stays in it when the file is written again.
A higher format number means that known keys have another meaning there. Then this Teal takes nothing from the file, and
removes nothing that it describes.
"""

import json
from pathlib import Path
from typing import Any, Callable, Dict, Generic, Type, TypeVar

from teal_host.ground import files
from teal_host.ground.errors import NeedsHuman
from teal_host.wire import typed
from teal_host.wire.frames import FrameError, parse_object

T = TypeVar("T")
Raw = Dict[str, Any]


class Unreadable(NeedsHuman):
    """The file is damaged, cannot be opened, or a newer Teal wrote it. `why` is in one line."""

    def __init__(self, path: Path, why: str, newer: bool = False) -> None:
        hint = "use the Teal that wrote it, or a later one" if newer else "restore it"
        super().__init__(f"{path} {'is of a newer Teal' if newer else 'cannot be read'}", [why], hint)
        self.why = why
        self.newer = newer


class DiskFormat(Generic[T]):
    """How values of one kind are kept. `convert` changes the content of a file with a lower number."""

    def __init__(self, kind: Type[T], number: int, convert: Callable[[Raw], Raw] = lambda raw: raw) -> None:
        self._kind = kind
        self._number = number
        self._convert = convert

    def read(self, path: Path) -> T:
        """Raises FileNotFoundError, Unreadable."""
        try:
            return typed.decode_known(self._kind, self._content(path)[1])
        except typed.Mistakes as error:
            raise Unreadable(path, str(error)) from None

    def write(self, path: Path, value: T, number: int = 0) -> None:
        """`number`: lower than the format of now, for a value that an older Teal reads rightly.

        Raises Unreadable where a newer Teal has written the file.
        """
        content = typed.join(typed.encode(value), self._unknown(path))
        files.make_dir(path.parent)
        text = json.dumps({**content, "format": number or self._number}, ensure_ascii=False, indent=1)
        files.write(path, text, mode=0o600)

    def number_of(self, path: Path) -> int:
        """The format in which the file is written; 0 where it is not there or damaged. Raises Unreadable if newer."""
        return self._known(path)[0]

    def _unknown(self, path: Path) -> Raw:
        return typed.split(self._kind, self._known(path)[1])[1]

    def _known(self, path: Path) -> "tuple[int, Raw]":
        try:
            return self._content(path)
        except FileNotFoundError:
            return 0, {}
        except Unreadable as error:
            if error.newer:
                raise
            return 0, {}

    def _content(self, path: Path) -> "tuple[int, Raw]":
        """The format number of the file and its content in the format of now."""
        try:
            raw = parse_object(path.read_bytes())
        except FileNotFoundError:
            raise
        except (OSError, FrameError) as error:
            raise Unreadable(path, str(error)) from None
        number = raw.pop("format", 1)
        if type(number) is not int or number < 1:
            raise Unreadable(path, f"its format is {str(number)[:40]}")
        if number > self._number:
            raise Unreadable(path, f"its format is {number}; this Teal knows {self._number} and lower", newer=True)
        return number, self._convert(raw) if number < self._number else raw
