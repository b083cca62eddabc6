"""What a setup reports, and which files of the server differ after it."""

from pathlib import Path
from typing import Any

from contract.judge import judged
from harness.booted_server import make_key
from harness.world import App, Ended

OTHERS = (
    *("/var/lib/apt", "/var/lib/dpkg", "/etc/.pwd.lock", "/root/.bash_history", "/var/lib/teal-tests"),
    *("/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/subuid-", "/etc/subgid-"),
)


def differing(before: dict[str, str], after: dict[str, str]) -> list[str]:
    return sorted(path for path in before | after if before.get(path) != after.get(path))


def setup_changes(app: App, *arguments: str) -> list[str]:
    return [change["says"] for change in setup_result(app.teal("setup", "--json", *arguments).ok())["changes"]]


def refusal(app: App, *arguments: str, code: int = 3) -> dict[str, Any]:
    ended = app.teal("setup", "--json", *arguments)
    assert ended.code == code, ended
    error = setup_result(ended)["error"]
    assert isinstance(error, dict)
    assert error["exit_code"] == code
    return error


def setup_result(ended: Ended) -> dict[str, Any]:
    """The result of a setup. Every line conforms to the schemas."""
    *events, result = ended.lines
    for event in events:
        judged("deploy-event", event)
    return judged("setup", result)


def make_public_key(folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    make_key(folder / "deploy_key", "ci")
    return (folder / "deploy_key.pub").read_text().strip()
