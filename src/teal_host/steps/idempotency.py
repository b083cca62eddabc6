"""How a command ended, kept in the journal with its id: for who asks again, and for `teal status`.

Every command has an id of its own. One that comes again is that of a client which lost contact, or was recorded and is
played back; either way the answer is what it was then, and nothing is done.
"""

from typing import Any, Dict, Optional, Union

from teal_host.ground.errors import BadRequest, HostError, as_host_error
from teal_host.state import agreement, releases
from teal_host.state.app import App
from teal_host.state.slots import read_slots
from teal_host.wire import typed
from teal_host.wire.messages import Failure, Note, Result
from teal_host.wire.reports import Ended, LastReport
from teal_host.wire.upward import moment

Answer = Union[Result, HostError]
_ENDED: Dict[str, Ended] = {
    "live": "live",
    "turned_back": "rolled_back",
    "unhealthy": "unhealthy",
    "needs_human": "unhealthy",
}
_LONGEST = 2000  # of what is kept; a program may say a lot, and the journal stays


def record_end(app: App, story: str, answer: Answer, **facts: Any) -> None:
    """Write down that the story ended, and how. The evidence is not kept."""
    known = {"release": answer.release, "color": answer.color, "previous": answer.previous}
    if isinstance(answer, Result):
        how = {"outcome": answer.outcome, "url": answer.url}
    else:
        how = {"outcome": answer.code, "message": answer.message[:_LONGEST], "hint": answer.hint[:_LONGEST]}
    brief: Dict[str, Any] = {"outcome": how["outcome"], **facts}
    app.journal.write("end", story, release=answer.release, **brief, answer={**known, **how})


def record_unchanged(app: App, story: str) -> Result:
    """What is wanted is live. That is kept, too: the same command, come again after others, must not take it back."""
    answer = current_result(app, "unchanged", read_slots(app.paths).live_release)
    try:
        app.journal.write("unchanged", story, release=answer.release, answer=typed.encode(answer))
    except OSError as problem:
        app.warn(f"that nothing had to be done is not written down: {as_host_error(problem).message}")
    return answer


def recorded_result(app: App, story: str) -> Optional[Result]:
    """The answer of a command of this very id, if there was one. Raises the HostError that it was."""
    if not app.journal.has(story):
        return None
    app.tell(Note("warning", "this very command was done before: it ended as told here, and nothing was done now"))
    answer = _answer(app.journal.ending(story) or {})
    if isinstance(answer, Result):
        return answer
    raise answer


def current_result(app: App, outcome: str, name: Optional[str]) -> Result:
    """The result, read from the links as they are now."""
    slots, records, agreed = read_slots(app.paths), releases.load(app.paths), agreement.load(app.paths)
    previous = releases.previous_good(records, slots.live_release, app.paths)
    url = app.host.proxy.url(agreed.site) if agreed else ""
    before = previous.release if previous else None
    return Result("live" if outcome == "live" else "unchanged", name, slots.live, before, url)


def last_story(app: App) -> Optional[LastReport]:
    """How the last story ended; nothing when the journal does not say when."""
    found = app.journal.last_story()
    if found is None:
        return None
    begin, line = found
    at = str(line.get("at"))
    if moment(at):
        return None
    answer = line.get("answer")
    kept: Dict[str, Any] = answer if isinstance(answer, dict) else {"outcome": line.get("outcome")}
    says = str(line.get("detail") or kept.get("message") or "")
    release = str(begin["release"]) if begin.get("release") else None
    ended: Ended = _ENDED.get(str(kept.get("outcome")), "refused")
    if begin.get("what") == "rollback":
        return LastReport("rollback", release, ended, at, says)
    return LastReport("deploy", release, ended, at, says)


def _answer(line: Dict[str, Any]) -> Answer:
    """As it stands in the journal's line; one of an older Teal tells no more than that it was."""
    kept = line.get("answer")
    try:
        if isinstance(kept, dict) and "message" in kept:
            known = {name: value for name, value in kept.items() if name not in ("url", "outcome")}
            return _error(typed.decode(Failure, {"code": kept["outcome"], **known}))
        return typed.decode(Result, kept)
    except (typed.Mistakes, KeyError):
        return BadRequest("this very command was done before; how it ended was not kept", hint="teal status")


def _error(failure: Failure) -> HostError:
    error = HostError(failure.message, (), failure.hint)
    error.code = failure.code
    return error.about(failure.release, failure.color, failure.previous)
