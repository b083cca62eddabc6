"""The app's own user, and its data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Optional

from teal_host.checks.base import Visit, drift, fault, there
from teal_host.preparations import account
from teal_host.wire.reports import Finding


@dataclass(frozen=True)
class Owned:
    """A user of the system, if there is one, and whose the data is, if there is any."""

    user: Optional[int]
    data: Optional[int]


def check(visit: Visit) -> Iterator[Finding]:
    user, path = visit.intent.user, visit.app.paths.data
    found = account.find(user)
    owned = Owned(found.pw_uid if found else None, path.stat().st_uid if path.is_dir() else None)
    wrong = owner(user, path, owned)
    if wrong:
        yield wrong
    else:
        yield from drift("user", account.acts(visit.intent), f"{user} owns {path}")


def owner(user: str, data: Path, owned: Owned) -> Optional[Finding]:
    """What stands in setup's own way: data that is somebody else's is never taken over."""
    if owned.data is None or owned.data == owned.user:
        return None
    if owned.user is not None:
        says = f"{data} belongs to user number {owned.data}, not to {user}"
        return fault("user", says, there(f"chown -R {user}:{user} {data}"))
    made = f"useradd --system --user-group --no-create-home --home-dir {data} --shell /usr/sbin/nologin"
    says = f"there is no user {user} any more, and its data is still here"
    return fault("user", says, there(f"{made} --uid {owned.data} {user}"))
