"""How a program is run, as its sources show: its arguments, its health path, its verify path, its data."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from teal.scaffold import flags, frameworks
from teal.scaffold.frameworks import Framework

HEALTH_PATHS = ("/healthz", "/health", "/up", "/livez", "/api/health", "/ping", "/readyz")
READS_PORT = re.compile(r"""["'`]PORT["'`]|\benv\.PORT\b""")
READS_SOCKET = re.compile(r"""["'`]SOCKET["'`]|\benv\.SOCKET\b""")
# A client names a unix socket as well, so each pattern has what listens there.
LISTENS_ON_SOCKET = re.compile(
    r"""
      \bListen\(\s*(?:[\w.]{1,40}(?:\(\))?,\s*)?"unix" | \bListenUnix\(\s*"unix"          # Go
    | \bUnixListener\b                                                                # Rust
    | \bAF_UNIX\b[^#]{0,400}?\bbind\(                                                 # C
    | \bListenUnixSocket\(                                                            # C#, F#
    | \bUNIXServer\b | \bbind_unix\b                                                  # Crystal
    | \bbindUnix\(                                                                    # Nim
    | \bbind\b[^\n]{0,80}\b(?:UnixAddress|ADDR_UNIX|SockAddrUnix)\b                    # D, OCaml, Haskell
    | \bbind\(\s*unixDomainSocketPath\b | \.unixDomainSocket\(                          # Swift
    | \binitUnix\([^#]{0,200}?\.listen\(                                               # Zig
    | (?:\blisten\(|\bunix:)[^)\n]{0,40}\bSOCKET\b                                     # Node's servers, Bun
    | \bDeno\.(?:serve|listen)\(\s*\{[^}]{0,80}?\bpath:[^,}\n]{0,40}\bSOCKET\b          # Deno
    """,
    re.VERBOSE,
)
SOCKET_FLAGS = ("socket", "unix-socket", "uds")
USES_DATA = re.compile(r"(?i)sqlite|\bDATA_DIR\b")
INDIRECT = re.compile(r"(?m)^.*// indirect$")  # a dependency of a dependency, as go.mod marks it
READS_COLOR = re.compile(r"""["'`]COLOR["'`]|\benv\.COLOR\b""")
NAMES_COLOR = re.compile(r"""json:"color\b|["'`]color\\?["'`]""")  # a JSON member, quotes perhaps escaped
ADDRESS_FLAGS = ("addr", "listen", "listen-addr")
STATUS = "/status"


@dataclass(frozen=True)
class RunSettings:
    arguments: tuple[str, ...]
    health: str
    verify: str
    data: bool
    notes: tuple[str, ...]


def infer_run_settings(sources: Sequence[str], manifests: Sequence[str]) -> RunSettings:
    framework = frameworks.detect_framework([*manifests, *sources])
    arguments, command_note = _arguments(sources, framework)
    health, health_note = _health(sources, framework)
    verify, verify_notes = _verify(sources, arguments)
    data, data_notes = _data(sources, manifests, arguments)
    return RunSettings(arguments, health, verify, data, (command_note, health_note, *verify_notes, *data_notes))


def _arguments(sources: Sequence[str], framework: Framework | None) -> tuple[tuple[str, ...], str]:
    if framework:
        on_socket = framework.on_socket if _any(LISTENS_ON_SOCKET, sources) else ()
        arguments = on_socket or framework.arguments
        return arguments, f"command: {framework.name} takes {' '.join(arguments)}"
    listen = _listen_arguments(sources)
    # Without a port, --color most likely colors a terminal.
    has_port = bool(listen) or _any(READS_PORT, sources)
    color = ("--color", "{color}") if has_port and flags.defines_color(sources) else ()
    if listen == ("{socket}",):
        return (*listen, *color), "command: the program listens on the unix socket that it reads from SOCKET"
    arguments = (*listen, *color)
    return arguments, "command: " + _command_note(arguments[::2], sources)


def _listen_arguments(sources: Sequence[str]) -> tuple[str, ...]:
    if socket := _socket_arguments(sources):
        return socket
    if flags.defines(sources, "port"):
        return "--port", "{port}"
    address = next((name for name in ADDRESS_FLAGS if flags.defines(sources, name)), None)
    return (f"--{address}", "{host}:{port}") if address else ()


def _socket_arguments(sources: Sequence[str]) -> tuple[str, ...]:
    """A flag of that name may be somebody else's socket, such as a database's, so the program must listen on one."""
    if not _any(LISTENS_ON_SOCKET, sources):
        return ()
    flag = next((name for name in SOCKET_FLAGS if flags.defines(sources, name)), None)
    if flag:
        return f"--{flag}", "{socket}"
    return ("{socket}",) if _any(READS_SOCKET, sources) else ()


def _command_note(names: Sequence[str], sources: Sequence[str]) -> str:
    defined = f"the sources define {' and '.join(names)}"
    if names and names[0] != "--color":
        return defined
    if _any(READS_PORT, sources):
        return "the program reads the port from PORT in the environment" + f"; {defined}" * bool(names)
    reason = "the sources have no --port flag and no PORT" if sources else "no sources were read"
    return f"{reason}; the program must listen on 127.0.0.1:$PORT"


def _health(sources: Sequence[str], framework: Framework | None) -> tuple[str, str]:
    if framework and framework.health:
        return framework.health, f"health: {framework.name} answers {framework.health}"
    path = next((path for path in HEALTH_PATHS if _has_route(sources, path)), "")
    if path:
        return path, f"health: the sources contain {path}"
    return "/", "health: the sources name no health path; / must answer 200"


def _has_route(sources: Sequence[str], path: str) -> bool:
    """A route is a whole string. Go's mux writes a method before the path."""
    route = re.compile(rf"""["'`](?:[A-Z]+ )?{re.escape(path)}(?:\{{\$\}})?/?["'`]""")
    return _any(route, sources)


def _verify(sources: Sequence[str], arguments: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    reads_color = "{color}" in arguments or _any(READS_COLOR, sources)
    names_color = any(NAMES_COLOR.search(flags.without_flag(text, "color")) for text in sources)
    if reads_color and names_color and _has_route(sources, STATUS):
        return STATUS, (f"verify: {STATUS} seems to return the color as JSON",)
    return "", ()


def _data(sources: Sequence[str], manifests: Sequence[str], arguments: Sequence[str]) -> tuple[bool, tuple[str, ...]]:
    direct = [INDIRECT.sub("", text) for text in manifests]
    if "{data_dir}" in arguments or _any(USES_DATA, [*sources, *direct]):
        return True, ("data: the sources use SQLite or DATA_DIR, so the app keeps a directory across releases",)
    return False, ()


def _any(pattern: re.Pattern[str], texts: Sequence[str]) -> bool:
    return any(pattern.search(text) for text in texts)
