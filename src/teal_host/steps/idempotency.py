"""How a command ended, kept in the journal with its id: for who asks again, and for `teal status`.

Every command has an id of its own. One that comes again is that of a client which lost contact, or was recorded and is
played back; either way the answer is what it was then, and nothing is done.
"""

from typing import Any, Dict, Literal, Optional, Union, cast

from teal_host.ground.errors import BadRequest, HostError, as_host_error
from teal_host.state import agreement, releases
from teal_host.state.app import App
from teal_host.state.slots import read_slots
from teal_host.wire import typed
from teal_host.wire.messages import Failure, Note, Result
from teal_host.wire.outcomes import CommandOutcome
from teal_host.wire.reports import LastReport
from teal_host.wire.upward import moment

Answer = Union[Result, HostError]
_LONGEST = 2000  # of what is kept; a program may say a lot, and the journal stays


def record_end(app: App, story: str, answer: Answer, **facts: Any) -> None:
    """Write down that the story ended, and how. The evidence is not kept."""
    known = {"release": answer.release, "color": answer.color, "previous": answer.previous}
    if isinstance(answer, Result):
        how = {"outcome": answer.outcome, "url": answer.url}
    else:
        how = {"code": answer.code, "message": answer.message[:_LONGEST], "hint": answer.hint[:_LONGEST]}
    brief = {"release": answer.release, "outcome": answer.outcome, **facts}
    app.journal.write("end", story, **brief, answer={**known, **how})


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


def current_result(app: App, outcome: Literal["live", "unchanged"], name: Optional[str]) -> Result:
    """The result, read from the links as they are now."""
    slots, agreed = read_slots(app.paths), agreement.load(app.paths)
    url = app.host.proxy.url(agreed.site) if agreed else ""
    return Result(outcome, name, slots.live, releases.previous_name(app.paths, slots.live_release), url)


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
    says = str(line.get("detail") or (answer.get("message") if isinstance(answer, dict) else "") or "")
    release = str(begin["release"]) if begin.get("release") else None
    command: Literal["deploy", "rollback"] = "rollback" if begin.get("what") == "rollback" else "deploy"
    return LastReport(command, release, _outcome(line), at, says)


def _outcome(line: Dict[str, Any]) -> CommandOutcome:
    try:
        return typed.decode(cast("Any", CommandOutcome), line.get("outcome"))
    except typed.Mistakes:
        return "refused"


def _answer(line: Dict[str, Any]) -> Answer:
    """As it stands in the journal's line; one of an older Teal tells no more than that it was."""
    kept = line.get("answer")
    try:
        if isinstance(kept, dict) and "code" in kept:
            return _error(typed.decode_known(Failure, kept))
        return typed.decode_known(Result, kept)
    except typed.Mistakes:
        return BadRequest("this very command was done before; how it ended was not kept", hint="teal status")


def _error(failure: Failure) -> HostError:
    error = HostError(failure.message, (), failure.hint)
    error.code = failure.code
    return error.about(failure.release, failure.color, failure.previous)
