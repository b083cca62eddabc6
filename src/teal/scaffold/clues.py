"""What a program's sources betray: how it learns its port, where it says that it is well, what it keeps."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from teal.scaffold import flags, frameworks
from teal.scaffold.frameworks import Framework

HEALTH_PATHS = ("/healthz", "/health", "/up", "/livez", "/api/health", "/ping", "/readyz")
READS_PORT = re.compile(r"""["'`]PORT["'`]|\benv\.PORT\b""")
KEEPS_DATA = re.compile(r"(?i)sqlite|\bDATA_DIR\b")
INDIRECT = re.compile(r"(?m)^.*// indirect$")  # what go.mod lists for the sake of others
READS_COLOR = re.compile(r"""["'`]COLOR["'`]|\benv\.COLOR\b""")
TELLS_COLOR = re.compile(r"""json:"color\b|["'`]color\\?["'`]""")  # in an answer, perhaps escaped
ADDRESS_FLAGS = ("addr", "listen", "listen-addr")
STATUS = "/status"


@dataclass(frozen=True)
class Clues:
    arguments: tuple[str, ...]
    health: str
    verify: str
    data: bool
    notes: tuple[str, ...]


def clues(sources: Sequence[str], manifests: Sequence[str]) -> Clues:
    framework = frameworks.found([*manifests, *sources])
    arguments, told = _arguments(sources, framework)
    health, answered = _health(sources, framework)
    verify, checked = _verify(sources, arguments)
    data, kept = _data(sources, manifests, arguments)
    return Clues(arguments, health, verify, data, (told, answered, *checked, *kept))


def _arguments(sources: Sequence[str], framework: Framework | None) -> tuple[tuple[str, ...], str]:
    if framework:
        return framework.arguments, f"command: {framework.name} takes {' '.join(framework.arguments)}"
    listening = _listening(sources)
    # A color without a port is most likely about a terminal.
    told = bool(listening) or _any(READS_PORT, sources)
    color = ("--color", "{color}") if told and flags.defines_color(sources) else ()
    arguments = (*listening, *color)
    return arguments, "command: " + _told(arguments[::2], sources)


def _listening(sources: Sequence[str]) -> tuple[str, ...]:
    if flags.defines(sources, "port"):
        return "--port", "{port}"
    address = next((name for name in ADDRESS_FLAGS if flags.defines(sources, name)), None)
    return (f"--{address}", "{host}:{port}") if address else ()


def _told(names: Sequence[str], sources: Sequence[str]) -> str:
    defined = f"the sources define {' and '.join(names)}"
    if names and names[0] != "--color":
        return defined
    if _any(READS_PORT, sources):
        return "the program reads its port from PORT in the environment" + f"; {defined}" * bool(names)
    searched = "no --port flag and no PORT was found in the sources" if sources else "no sources were read"
    return f"{searched}; the program must listen on 127.0.0.1:$PORT"


def _health(sources: Sequence[str], framework: Framework | None) -> tuple[str, str]:
    if framework and framework.health:
        return framework.health, f"health: {framework.name} answers {framework.health}"
    path = next((path for path in HEALTH_PATHS if _answers(sources, path)), "")
    if path:
        return path, f"health: {path} occurs in the sources"
    return "/", "health: no health path is known; / must answer 200"


def _answers(sources: Sequence[str], path: str) -> bool:
    """A route: the whole of a string, perhaps behind a method as Go's mux writes it."""
    route = re.compile(rf"""["'`](?:[A-Z]+ )?{re.escape(path)}(?:\{{\$\}})?/?["'`]""")
    return _any(route, sources)


def _verify(sources: Sequence[str], arguments: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    knows = "{color}" in arguments or _any(READS_COLOR, sources)
    tells = any(TELLS_COLOR.search(flags.without(text, "color")) for text in sources)
    if knows and tells and _answers(sources, STATUS):
        return STATUS, (f"verify: {STATUS} seems to tell the color as JSON",)
    return "", ()


def _data(sources: Sequence[str], manifests: Sequence[str], arguments: Sequence[str]) -> tuple[bool, tuple[str, ...]]:
    direct = [INDIRECT.sub("", text) for text in manifests]
    if "{data_dir}" in arguments or _any(KEEPS_DATA, [*sources, *direct]):
        return True, ("data: SQLite or DATA_DIR occurs in the sources, so one directory outlives releases",)
    return False, ()


def _any(pattern: re.Pattern[str], texts: Sequence[str]) -> bool:
    return any(pattern.search(text) for text in texts)
