"""Read teal.toml and tell all its mistakes at once, each with its line."""

import os
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from teal.config.model import Config, reachable
from teal.ground.errors import ConfigError
from teal_host.wire.typed import Mistake, Mistakes, decode
from teal_host.wire.values import dataclass

NAME = "teal.toml"
TARGET = "TEAL_TARGET"
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
        return ConfigFile(_elsewhere(decode(Config, _table(path, text))), path)
    except Mistakes as mistakes:
        raise ConfigError(*_report(path, text, mistakes.found)) from None


def _elsewhere(config: Config) -> Config:
    """TEAL_TARGET reaches the same server in another way, as from CI with a deploy key. Raises ConfigError."""
    target = os.environ.get(TARGET)
    if not target:
        return config
    complaint = reachable(target)
    if complaint:
        raise ConfigError(f"{TARGET} in the environment: {complaint}")
    server = replace(config.server, target=target, http_port=config.server.site.http_port)
    return replace(config, server=server)


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
    places = _lines_of_keys(text)
    lines = [f"{path.name}:{_closest(places, place)}: {place}: {says}" for place, says in found]
    count = "one mistake" if len(lines) == 1 else f"{len(lines)} mistakes"
    return f"{path} has {count}", sorted(lines, key=lambda line: int(line.split(":")[1]))


def _closest(lines: dict[str, int], place: str) -> int:
    """The line on which a key is written, or the closest table above it; 1 for what is not there."""
    while place and place not in lines:
        place = place[: max(place.rfind("."), place.rfind("["), 0)]
    return lines.get(place, 1)


def _lines_of_keys(text: str) -> dict[str, int]:
    """Where each key begins. The parser itself is asked, of one statement after the other."""
    found: dict[str, int] = {}
    header, begins, lines = "", 1, text.split("\n")
    for count in range(1, len(lines) + 1):
        statement = "\n".join(lines[begins - 1 : count]) + "\n"
        try:
            keys = list(_keys(tomllib.loads(statement)))
        except ValueError:
            continue  # it goes on in the next line
        if statement.lstrip().startswith("["):
            header = ""
        for key in keys:
            found.setdefault(header + key, begins)
        if statement.lstrip().startswith("["):
            header = f"{keys[-1]}."
        begins = count + 1
    return found


def _keys(table: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in table.items():
        yield above + key
        if isinstance(value, dict):
            yield from _keys(value, f"{above}{key}.")
