"""Reads teal.toml and reports all mistakes at once, each with its line."""

import os
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from teal.config.model import Config, target_address
from teal.ground import toml
from teal.ground.errors import ConfigError
from teal_host.wire.typed import Mistake, Mistakes, decode
from teal_host.wire.values import dataclass

NAME = "teal.toml"
TARGET = "TEAL_TARGET"
_MAX_BYTES = 1024 * 1024  # bytes; no person writes a longer teal.toml
_MOST_PARSED = 2 * _MAX_BYTES  # some seconds; the lines of later keys are not told
_BEGINS = re.compile(r"""\s*(?:\[|[\w.-]+\s*=|(?:"[^"]*"|'[^']*')\s*[.=])""")  # a table or a key
_CURES = {  # by the beginning of what tomllib says
    "Invalid value": 'text stands in quotes, as in name = "value"',
    "Expected '=' after a key": 'a line is name = "value" or [section]',
    "Unterminated string": "a quote is missing",
    "Illegal character": "a quote is missing, or a character that no text may hold",
    "Unclosed array": "a ] is missing",
    "Expected ']'": "a ] is missing",
    "Unclosed inline table": "a } is missing",
    "Expected newline or end of document": "one name = value stands in a line",
    "Cannot overwrite a value": "the name stands twice; leave one",
    "Cannot declare": "the section stands twice; join them",
    "Duplicate": "the name stands twice; leave one",
    "Unescaped": "write \\\\ for a backslash, or put the text in single quotes",
}


@dataclass(frozen=True)
class ConfigFile:
    """The values of teal.toml, and its path. Relative paths start at the directory of teal.toml."""

    config: Config
    path: Path

    @property
    def directory(self) -> Path:
        return self.path.parent


def load(config_path: Path | None) -> ConfigFile:
    """Reads `config_path`, or teal.toml in the current directory. Raises ConfigError."""
    path = _path(config_path)
    text = _text(path)
    try:
        config = _with_ca(decode(Config, _table(path, text)), path.parent)
        return ConfigFile(_with_target_of_environment(config), path)
    except Mistakes as mistakes:
        raise ConfigError(*_report(path, text, mistakes.mistakes)) from None


def _with_ca(config: Config, folder: Path) -> Config:
    """With the text of the file that verifies a certificate authority. Raises Mistakes."""
    if config.https.ca_file is None:
        return config
    path = folder / config.https.ca_file
    try:
        text = _text(path)
    except ConfigError as error:
        raise Mistakes([Mistake("https.ca_file", error.message)]) from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise Mistakes([Mistake("https.ca_file", f"{path} holds no certificate in PEM")])
    return replace(config, https=replace(config.https, ca_file=text))


def _with_target_of_environment(config: Config) -> Config:
    """TEAL_TARGET replaces server.target, for example in CI with a deploy key. Raises ConfigError."""
    target = os.environ.get(TARGET)
    if not target:
        return config
    complaint = target_address(target)
    if complaint:
        raise ConfigError(f"{TARGET} in the environment: {complaint}")
    server = replace(config.server, target=target, http_port=config.server.site.http_port)
    return replace(config, server=server)


def _path(config_path: Path | None) -> Path:
    path = Path(NAME) if config_path is None else config_path
    path = path / NAME if path.is_dir() else path
    if not path.exists():
        if config_path is None:
            raise ConfigError(f"there is no {NAME} in this directory", hint="teal init, or name the file: -C PATH")
        can_be_written = path.suffix == ".toml" and path.parent.is_dir()
        hint = f"teal init -C {shlex.quote(str(config_path))}" if can_be_written else "check the path"
        raise ConfigError(f"there is no {NAME} at {path}", hint=hint)
    return path.resolve()


def _text(path: Path) -> str:
    try:
        if not path.is_file():  # reading a pipe would block, and reading a device may never end
            raise ConfigError(f"{path} is not a file")
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path} is larger than 1 MiB, too large for a {NAME}")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8: byte {error.start} cannot be read") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _table(path: Path, text: str) -> dict[str, Any]:
    try:
        return toml.loads(text)
    except ValueError as error:  # also a number with more digits than Python reads
        raise _not_toml(path, text, str(error)) from None


def _not_toml(path: Path, text: str, complaint: str) -> ConfigError:
    """What is wrong and in which line, in tomllib's words, and how that is usually mended. The line itself may hold a
    secret."""
    words, _, where = complaint.partition(" (at ")
    at_line = re.match(r"line (\d+)", where)
    line = int(at_line[1]) if at_line else text.rstrip().count("\n") + 1
    cure = next(
        (cure for begin, cure in _CURES.items() if words.startswith(begin)),
        "compare it with docs/reference/teal-toml.md",
    )
    return ConfigError(f"{path} is not TOML: {complaint}", hint=f"mend line {line} of {path.name}: {cure}")


def _report(path: Path, text: str, mistakes: tuple[Mistake, ...]) -> tuple[str, list[str]]:
    key_lines = _lines_of_keys(text)
    numbered = [(_closest_line(key_lines, key), f"{key}: {message}") for key, message in mistakes]
    count = "one mistake" if len(numbered) == 1 else f"{len(numbered)} mistakes"
    lines = [f"{path.name}:{number}: {words}" for number, words in sorted(numbered, key=lambda row: row[0])]
    return f"{path} has {count}", lines


def _closest_line(key_lines: dict[str, int], key: str) -> int:
    """The line of a key. For a missing key: the line of the closest table above it, else 1."""
    while key and key not in key_lines:
        key = key[: max(key.rfind("."), key.rfind("["), 0)]
    return key_lines.get(key, 1)


def _lines_of_keys(text: str) -> dict[str, int]:
    """The line on which each key begins. tomllib reports no lines, so it parses one statement after the other: a long
    one where the next line seems to begin another, and all of them together no more than so many characters.
    """
    key_lines: dict[str, int] = {}
    header, start, lines, parsed = "", 1, text.split("\n"), 0
    for end in range(1, len(lines) + 1):
        if start < end < len(lines) and not _BEGINS.match(lines[end]):
            continue
        statement = "\n".join(lines[start - 1 : end]) + "\n"
        parsed += len(statement)
        if parsed > _MOST_PARSED:
            break
        try:
            keys = list(_keys(tomllib.loads(statement)))
        except (ValueError, RecursionError):
            continue  # the statement goes on in the next line
        if statement.lstrip().startswith("["):
            header = ""
        for key in keys:
            key_lines.setdefault(header + key, start)
        if statement.lstrip().startswith("["):
            header = f"{keys[-1]}."
        start = end + 1
    return key_lines


def _keys(table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")
