"""Read teal.toml and tell all its mistakes at once, each with its line."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teal.config.model import Config
from teal.errors import ConfigError
from teal_host.wire.typed import Mistake, Mistakes, decode

NAME = "teal.toml"
_LARGEST = 1024 * 1024  # bytes; nobody writes more by hand


@dataclass(frozen=True)
class ConfigFile:
    """The values, and the file that they came from: relative paths are relative to its directory."""

    config: Config
    path: Path

    @property
    def directory(self) -> Path:
        return self.path.parent


def load(given: Path | None) -> ConfigFile:
    """The file that was named, or teal.toml here. Raises ConfigError."""
    path = _path(given)
    text = _text(path)
    try:
        return ConfigFile(decode(Config, _table(path, text)), path)
    except Mistakes as mistakes:
        raise ConfigError(*_report(path, text, mistakes.found)) from None


def _path(given: Path | None) -> Path:
    path = Path(NAME) if given is None else given
    path = path / NAME if path.is_dir() else path
    if not path.exists():
        where = "in this directory" if given is None else f"at {path}"
        raise ConfigError(f"there is no {NAME} {where}", hint="teal init writes one, or name it: -C PATH")
    return path.resolve()


def _text(path: Path) -> str:
    try:
        if not path.is_file():  # a pipe would be waited for, and a device may have no end
            raise ConfigError(f"{path} is not a file")
        if path.stat().st_size > _LARGEST:
            raise ConfigError(f"{path} is larger than 1 MiB; that is no {NAME}")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: byte {error.start} cannot be read") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _table(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also a number with more digits than Python reads
        raise ConfigError(f"{path} is not TOML: {error}") from None


def _report(path: Path, text: str, found: tuple[Mistake, ...]) -> tuple[str, list[str]]:
    lines = [f"{path.name}:{line_of(text, mistake.place)}: {mistake.place}: {mistake.says}" for mistake in found]
    count = "one mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    return f"{path} has {count}", sorted(lines, key=lambda line: int(line.split(":")[1]))


def line_of(text: str, place: str) -> int:
    """The line on which a key is written, or the closest table above it; 1 for what is not there.

    The parser itself is asked: the first beginning of the file that it can read and that has the key ends with it.
    """
    keys = place.replace("[", ".[").split(".")
    for depth in range(len(keys), 0, -1):
        found = _first_line_with(text, [key for key in keys[:depth] if not key.startswith("[")])
        if found:
            return found
    return 1


def _first_line_with(text: str, keys: list[str]) -> int | None:
    lines = text.splitlines()
    begins = 1
    for count in range(1, len(lines) + 1):
        try:
            table: Any = tomllib.loads("\n".join(lines[:count]) + "\n")
        except tomllib.TOMLDecodeError:
            continue
        for key in keys:
            table = table.get(key) if isinstance(table, dict) else None
        if table is not None:
            return begins
        begins = count + 1
    return None
