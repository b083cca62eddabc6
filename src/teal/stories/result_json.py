"""The result of a deploy or rollback: what it took, and its JSON (schemas/result.schema.json)."""

from dataclasses import dataclass, field
from typing import Any

from teal.ground.errors import HostFailed, TealError
from teal_host.wire.messages import Failure, Result

SECONDS = ("build", "connect", "upload", "start", "health", "switch", "watch", "total")


@dataclass
class Account:
    """What a command took and sent. It is filled while the command runs, and shown however the command ends."""

    app: str | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    bytes_sent: int = 0
    artifact_bytes: int = 0


def success_json(account: Account, result: Result) -> dict[str, Any]:
    plan = {"dry_run": True, "plan": list(result.plan)} if result.plan else {}
    old = {"old_secrets": list(result.old_secrets)} if result.old_secrets else {}
    return _as_json(account, result.outcome, result, {"url": result.url or None, **plan, **old})


def failure_json(account: Account, error: TealError) -> dict[str, Any]:
    failure = error.failure if isinstance(error, HostFailed) else None
    return _as_json(account, error.outcome, failure, {"url": None, "error": as_json(error)})


def as_json(error: TealError) -> dict[str, Any]:
    """An error for a program."""
    return {
        "exit_code": error.exit_code,
        "message": error.message,
        "evidence": list(error.evidence),
        "hint": error.hint,
    }


def _as_json(account: Account, outcome: str, end: Result | Failure | None, members: dict[str, Any]) -> dict[str, Any]:
    """`end`: what the server side says, if it came so far."""
    return {
        "type": "result",
        "schema": 1,
        "outcome": outcome,
        "app": account.app,
        **{name: getattr(end, name, None) for name in ("release", "color", "previous")},
        **members,
        "bytes_sent": account.bytes_sent,
        "artifact_bytes": account.artifact_bytes,
        "seconds": {name: round(account.seconds.get(name, 0.0), 3) for name in SECONDS},
    }
