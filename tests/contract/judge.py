"""Judges JSON by the schemas of this repository."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import best_match
from referencing import Registry, Resource

from harness.world import Ended

FOLDER = Path(__file__).parents[2] / "schemas"
SCHEMAS: dict[str, dict[str, Any]] = {
    path.name.removesuffix(".schema.json"): json.loads(path.read_text()) for path in FOLDER.glob("*.schema.json")
}
_REGISTRY: Registry[Any] = Registry().with_resources(
    (f"{name}.schema.json", Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)
_JUDGES = {
    name: Draft202012Validator(schema, registry=_REGISTRY, format_checker=FormatChecker())
    for name, schema in SCHEMAS.items()
}


def complaint(schema: str, value: object) -> str | None:
    """The complaint of the schema about the value, or nothing."""
    error = best_match(_JUDGES[schema].iter_errors(value))
    return f"{error.json_path}: {error.message}" if error else None


def judged(schema: str, value: dict[str, Any]) -> dict[str, Any]:
    """Returns the value, which must conform to its schema."""
    problem = complaint(schema, value)
    assert problem is None, f"{schema}: {problem}\n{json.dumps(value, indent=1)}"
    return value


def judged_lines(ended: Ended) -> list[dict[str, Any]]:
    """The lines of a deploy or rollback: events, and the result as the last one, with the true exit code."""
    lines = [judged("deploy-event", line) for line in ended.lines]
    assert [line["type"] == "result" for line in lines] == [*[False] * (len(lines) - 1), True], ended
    result = judged("result", lines[-1])
    assert result.get("error", {"exit_code": 0})["exit_code"] == ended.code
    return lines


def good_but(place: str, value: object) -> dict[str, Any]:
    """A good teal.toml, except for this key."""
    whole: dict[str, Any] = {"app": "shop", "run": {"command": ["./shop"]}}
    if place == "verify.json":
        whole["verify"] = {"path": "/"}
    *tables, name = place.split(".")
    table = whole
    for part in tables:
        table = table.setdefault(part, {})
    table[name] = value
    return whole
