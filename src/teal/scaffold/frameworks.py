"""Frameworks with a command line of their own. The program's sources define none of its flags."""

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Framework:
    name: str
    sign: re.Pattern[str]
    arguments: tuple[str, ...]
    health: str = ""  # a path that the framework itself serves
    on_socket: tuple[str, ...] = ()  # where the sources listen on a unix socket


FRAMEWORKS = (
    Framework(
        "PocketBase",
        re.compile(r'"github\.com/pocketbase/pocketbase"'),
        ("serve", "--http", "{host}:{port}", "--dir", "{data_dir}"),
        "/api/health",
    ),
    Framework(
        "ASP.NET",
        re.compile(r'Sdk\s*=\s*"Microsoft\.NET\.Sdk\.Web"'),
        ("--urls", "http://{host}:{port}"),
        on_socket=("--urls", "http://unix:{socket}"),
    ),
    Framework(
        "Kemal",
        re.compile(r"(?m)^[ \t]*Kemal\.run\b"),
        ("--bind", "{host}", "--port", "{port}"),
        on_socket=("{socket}",),
    ),
    Framework(
        "Vapor",
        re.compile(r"(?m)^[ \t]*import Vapor\b"),
        ("serve", "--hostname", "{host}", "--port", "{port}"),
        on_socket=("serve", "--unix-socket", "{socket}"),
    ),
)


def detect_framework(texts: Iterable[str]) -> Framework | None:
    all_text = "\n".join(texts)
    return next((framework for framework in FRAMEWORKS if framework.sign.search(all_text)), None)
