"""Ranks several programs by how likely a user deploys them."""

from pathlib import PurePosixPath

SERVERS = ("server", "web", "api", "app", "serve", "httpd", "daemon", "site")
AUXILIARY = (
    *("example", "examples", "demo", "tool", "tools", "script", "scripts", "hack", "internal"),
    *("test", "tests", "docs", "gen", "xtask", "bench", "benches"),
)


def server_rank(name: str) -> int:
    """A lower rank is a better one: the name says that the program is a server."""
    words = name.lower().replace("_", "-").split("-")
    return next((n for n, server in enumerate(SERVERS) if server in words), len(SERVERS))


def is_auxiliary(path: str) -> bool:
    """Tools, examples and tests are seldom the program to deploy."""
    return any(part in AUXILIARY for part in PurePosixPath(path).parts)
