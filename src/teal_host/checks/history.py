"""Does a command run on this app now, was an earlier command interrupted, and can every record be read?"""

from typing import Iterator, Optional

from teal_host.checks.base import Visit, from_error, ok, warning
from teal_host.ground import lock
from teal_host.ground.journal import UnfinishedStory
from teal_host.state import releases
from teal_host.wire.reports import Finding


def check(visit: Visit) -> Iterator[Finding]:
    yield history(lock.at_work(visit.app.paths.lock), visit.app.journal.unfinished())
    for entry in releases.load_unreadable(visit.app.paths):
        yield from_error("records", entry.error())


def history(at_work: Optional[str], unfinished: Optional[UnfinishedStory]) -> Finding:
    if at_work:
        message = f"{at_work}; the other findings may show that command halfway"
        return warning("commands", message, "teal doctor again")
    if unfinished:
        what = "a rollback" if unfinished.is_rollback else "a command"
        message = f"{what} was interrupted{f', with {unfinished.release}' if unfinished.release else ''}"
        return warning("commands", f"{message}; the next deploy or rollback cleans up first", "teal deploy")
    return ok("commands", "no command runs, and none was interrupted")
