"""The documents of the repo: finds broken links in them, and collects them for the site that script/docs builds.

A link is checked without the network: a file must exist, an anchor must be a heading of its document, and an address
elsewhere must have the form of one.
"""

import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

REPO = Path(__file__).parents[1]
PATTERNS = ("*.md", "docs/**/*.md", "bench/*.md", "examples/*/*.md")
FENCE = re.compile(r"^\s*(```|~~~)")
CODE = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)")
INLINE = re.compile(r"\[[^\]]*\]\(<?([^()\s>]*(?:\([^()\s]*\)[^()\s>]*)*)>?(?:\s+\"[^\"]*\")?\)")
DEFINITION = re.compile(r"^\s{0,3}\[[^\]]+\]:\s*(\S+)")
BARE = re.compile(r"<(https?://[^>]*)>")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")


@dataclass(frozen=True)
class Link:
    document: Path
    line: int
    target: str


def documents(repo: Path) -> list[Path]:
    return sorted({path for pattern in PATTERNS for path in repo.glob(pattern)})


def links(document: Path) -> Iterator[Link]:
    for line, text in _prose(document):
        bare = CODE.sub("", text)
        for pattern in (INLINE, DEFINITION, BARE):
            yield from (Link(document, line, target) for target in pattern.findall(bare))


def anchors(document: Path) -> set[str]:
    """As GitHub and the site name them: lower case, no punctuation, a hyphen for each space, repeats numbered."""
    names: set[str] = set()
    for _, text in _prose(document):
        heading = HEADING.match(text)
        if heading:
            names.add(_unused(_slug(heading[1]), names))
    return names


def fault(link: Link) -> str:
    """Why the link leads nowhere; empty if the link has a target."""
    parts = urlsplit(link.target)
    if parts.scheme:
        return _fault_of_address(parts.scheme, parts.netloc)
    path = (link.document.parent / unquote(parts.path)).resolve() if parts.path else link.document
    if not path.is_file():
        return "is a directory: link a file in it" if path.is_dir() else "does not exist"
    if parts.fragment and parts.fragment not in anchors(path):
        return f"has no heading {parts.fragment}"
    return ""


def faults(repo: Path) -> list[str]:
    every = [link for document in documents(repo) for link in links(document)]
    faults = [(link, fault(link)) for link in every]
    return [f"{link.document.relative_to(repo)}:{link.line}: {link.target} {why}" for link, why in faults if why]


def pages(repo: Path) -> list[Path]:
    """The pages in the site's menu."""
    config = tomllib.loads((repo / "zensical.toml").read_text())
    return [repo / name for name in _names(config["project"]["nav"])]


def collect(repo: Path, folder: Path) -> None:
    """Copies the documents and every file that they link to, each to its own path, so that relative links hold."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = documents(repo)
    linked = [document.parent / urlsplit(link.target).path for document in pages for link in links(document)]
    for path in {path.resolve() for path in (*pages, *linked) if path.is_file()}:
        copy = folder / path.relative_to(repo.resolve())
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _prose(document: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines outside code blocks."""
    in_code = False
    for line, text in enumerate(document.read_text().splitlines(), 1):
        if FENCE.match(text):
            in_code = not in_code
        elif not in_code:
            yield line, text


def _slug(heading: str) -> str:
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def _unused(name: str, names: set[str]) -> str:
    numbered = (name, *(f"{name}-{number}" for number in range(1, len(names) + 1)))
    return next(each for each in numbered if each not in names)


def _fault_of_address(scheme: str, host: str) -> str:
    if scheme in ("http", "https"):
        return "" if host else "has no host"
    return "" if scheme == "mailto" else f"has an unknown scheme {scheme}"


def _names(entries: Any) -> Iterator[str]:
    for entry in entries:
        for value in entry.values() if isinstance(entry, dict) else (entry,):
            yield from [value] if isinstance(value, str) else _names(value)


if __name__ == "__main__":
    broken = faults(REPO)
    if broken:
        sys.exit("\n".join([*broken, f"{len(broken)} broken links"]))
    collect(REPO, REPO / "site/source")
