"""The app's own user, and the owner of the app's data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Optional

from teal_host.checks.base import Visit, drift, fault
from teal_host.ground import files
from teal_host.ground.remedies import on_server
from teal_host.preparations import account
from teal_host.wire.reports import Finding


@dataclass(frozen=True)
class DataOwner:
    """The numbers of the app's user, if the system has that user, and of the data's owner, if there is data."""

    user: Optional[int]
    data: Optional[int]


def check(visit: Visit) -> Iterator[Finding]:
    user, path = visit.intent.user, visit.app.paths.data
    entry, data = account.find(user), files.status_of(path)
    numbers = DataOwner(entry.pw_uid if entry else None, data.st_uid if data else None)
    wrong = owner(user, path, numbers)
    if wrong:
        yield wrong
    else:
        changes = [*account.changes(visit.intent), *account.shut_out(user)]
        yield from drift("user", changes, f"{user} owns {path}")


def owner(user: str, data: Path, numbers: DataOwner) -> Optional[Finding]:
    """What setup itself cannot mend: setup never takes over data of somebody else."""
    if numbers.data is None or numbers.data == numbers.user:
        return None
    if numbers.user is not None:
        message = f"{data} belongs to user number {numbers.data}, not to {user}"
        return fault("user", message, on_server(f"chown -R {user}:{user} {data}"))
    add = f"useradd --system --user-group --no-create-home --home-dir {account.NO_HOME} --shell /usr/sbin/nologin"
    message = f"the user {user} no longer exists, but its data does"
    made = on_server(f"{add} --uid {numbers.data} {user}")
    return fault("user", message, f"{made}; then {on_server(f'usermod --expiredate=1 {user}')}")
