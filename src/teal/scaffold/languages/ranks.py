"""Among several programs, which one is meant to be deployed?"""

from pathlib import PurePosixPath

SERVERS = ("server", "web", "api", "app", "serve", "httpd", "daemon", "site")
ASIDE = frozenset(
    {
        "example",
        "examples",
        "demo",
        "tool",
        "tools",
        "script",
        "scripts",
        "hack",
        "internal",
        "test",
        "tests",
        "docs",
        "gen",
        "xtask",
        "bench",
        "benches",
    }
)


def serverlike(name: str) -> int:
    """Lower is better."""
    words = name.lower().replace("_", "-").split("-")
    return next((n for n, server in enumerate(SERVERS) if server in words), len(SERVERS))


def aside(path: str) -> bool:
    """What helps in making the program is seldom the program."""
    return any(part in ASIDE for part in PurePosixPath(path).parts)
