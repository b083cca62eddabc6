"""How a deploy or rollback ended, as it is told to a person and, as JSON, to a program."""

from dataclasses import dataclass, field
from typing import Any

from teal.ground.errors import HostFailed, TealError
from teal_host.wire.messages import Result

SECONDS = ("build", "connect", "upload", "start", "health", "switch", "watch", "total")


@dataclass
class Account:
    """What a command took and sent; filled while it runs, told however it ends. Times in seconds, sizes in bytes."""

    app: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    bytes_sent: int = 0
    artifact_bytes: int = 0


def ended_well(account: Account, result: Result) -> dict[str, Any]:
    told = {
        "outcome": result.outcome,
        "release": result.release,
        "color": result.color,
        "previous": result.previous,
        "url": result.url or None,
    }
    plan = {"dry_run": True, "plan": list(result.plan)} if result.plan else {}
    return _whole(account, {**told, **plan})


def ended_badly(account: Account, error: TealError) -> dict[str, Any]:
    failure = error.failure if isinstance(error, HostFailed) else None
    told = {
        "outcome": error.outcome,
        "release": failure.release if failure else None,
        "color": failure.color if failure else None,
        "previous": failure.previous if failure else None,
        "url": None,
        "error": as_json(error),
    }
    return _whole(account, told)


def as_json(error: TealError) -> dict[str, Any]:
    """An error for a program."""
    told = {"message": error.message, "evidence": list(error.evidence), "hint": error.hint}
    return {"exit_code": error.exit_code, **told}


def _whole(account: Account, told: dict[str, Any]) -> dict[str, Any]:
    seconds = {name: round(account.seconds.get(name, 0.0), 3) for name in SECONDS}
    head = {"type": "result", "schema": 1, "outcome": told.pop("outcome"), "app": account.app}
    sizes = {"bytes_sent": account.bytes_sent, "artifact_bytes": account.artifact_bytes}
    return {**head, **told, **sizes, "seconds": seconds}
