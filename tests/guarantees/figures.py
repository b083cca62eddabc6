"""What the last runs showed, kept in docs/guarantees.json: the outcome of each test of a row, and its counts."""

import datetime
import json
import os
import platform
import xml.etree.ElementTree as xml
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

REPO = Path(__file__).parents[2]
KEPT = REPO / "docs/guarantees.json"
Counted = dict[str, str]


@dataclass(frozen=True)
class Shown:
    """One test at its last run: the `rows` of the matrix that the test shows, and its counts."""

    test: str
    outcome: str
    rows: tuple[str, ...]
    counted: Counted


@dataclass(frozen=True)
class Ran:
    """A long run, and its counts."""

    at: str
    system: str
    counted: Counted


@dataclass(frozen=True)
class Figures:
    at: str = ""
    system: str = ""
    shown: tuple[Shown, ...] = ()
    runs: Mapping[str, Ran] = field(default_factory=dict)

    def with_run(self, name: str, counted: Counted) -> "Figures":
        return replace(self, runs={**self.runs, name: Ran(today(), system(), counted)})

    def with_tests(self, report: Path) -> "Figures":
        return replace(
            self, at=today(), system=system(), shown=tuple(sorted(read(report), key=lambda entry: entry.test))
        )


def read(report: Path) -> Iterator[Shown]:
    """Reads a JUnit file of pytest: the tests that have marks of the matrix, have counted something, or break Teal."""
    for case in xml.parse(report).getroot().iter("testcase"):
        properties = {node.get("name", ""): node.get("value", "") for node in case.iter("property")}
        test, rows = properties.pop("test", ""), tuple(properties.pop("rows", "").split())
        if rows or properties or test.startswith("tests/broken/"):
            yield Shown(test, _outcome(case), rows, properties)


def _outcome(case: xml.Element) -> str:
    ends = {"failure": "failed", "error": "failed", "skipped": "skipped"}
    return next((word for tag, word in ends.items() if case.find(tag) is not None), "passed")


def today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def system() -> str:
    return f"{os.cpu_count()} processors, Linux {platform.release().split('-')[0]}, Python {platform.python_version()}"


def load() -> Figures:
    if not KEPT.exists():
        return Figures()
    stored = json.loads(KEPT.read_text())
    shown = tuple(
        Shown(entry["test"], entry["outcome"], tuple(entry["rows"]), entry["counted"]) for entry in stored["shown"]
    )
    return Figures(stored["at"], stored["system"], shown, {name: Ran(**run) for name, run in stored["runs"].items()})


def save(figures: Figures) -> None:
    KEPT.write_text(json.dumps(asdict(figures), indent=1) + "\n")
