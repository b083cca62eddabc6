"""Stores each command's result under its id, so that a repeated command gets the recorded answer.

A client that lost contact repeats its command, and a recorded one may be played back: either gets the answer of then,
and nothing is done. `teal status` shows the last result.
"""

from typing import Any, Dict, Literal, Optional, Union, cast

from teal_host.ground.errors import BadRequest, HostError, as_host_error
from teal_host.ground.journal import release_of
from teal_host.state.app import App
from teal_host.steps.scene import Scene
from teal_host.wire import typed
from teal_host.wire.messages import Failure, Note, Result
from teal_host.wire.outcomes import CommandOutcome
from teal_host.wire.reports import LastReport
from teal_host.wire.upward import moment

Answer = Union[Result, HostError]
_LONGEST = 2000  # characters of a message; a program may write a lot, and the journal stays


def record_end(app: App, story: str, answer: Answer, **facts: Any) -> None:
    """Write down that the story ended, and how. The evidence is not stored."""
    if isinstance(answer, Result):
        stored = typed.encode(answer)
    else:
        subject = {"release": answer.release, "color": answer.color, "previous": answer.previous}
        stored = {**subject, "code": answer.code, "message": answer.message[:_LONGEST], "hint": answer.hint[:_LONGEST]}
    brief = {"release": answer.release, "outcome": answer.outcome, **facts}
    app.journal.write("end", story, **brief, answer=stored)
    app.journal.trim()


def record_unchanged(app: App, scene: Scene, what: str, story: str) -> Result:
    """What is wanted is live. That is stored, too: the same command, repeated after others, must not take it back."""
    answer = current_result(app, scene, "unchanged")
    try:
        app.journal.write("unchanged", story, what=what, release=answer.release, answer=typed.encode(answer))
        app.journal.trim()
    except OSError as problem:
        app.warn(f"that nothing had to be done is not written down: {as_host_error(problem).message}")
    return answer


def recorded_result(app: App, story: str) -> Optional[Result]:
    """The answer of a command of this very id, if there was one. Raises the HostError that it was."""
    if not app.journal.has(story):
        return None
    app.tell(Note("warning", "this command already ran; here is its recorded result"))
    answer = _answer(app.journal.ending(story) or {})
    if isinstance(answer, Result):
        return answer
    raise answer


def current_result(app: App, scene: Scene, outcome: Literal["live", "unchanged"]) -> Result:
    """What is live, as the scene has it."""
    url = app.host.proxy.url(scene.agreement.route(app.paths)) if scene.agreement else ""
    previous = scene.previous_release
    return Result(outcome, scene.slots.live_release, scene.slots.live, previous, url)


def last_story(app: App) -> Optional[LastReport]:
    """How the last story ended; nothing when the journal does not say when."""
    story = app.journal.last_story()
    if story is None:
        return None
    begin, end = story
    at = str(end.get("at"))
    if moment(at):
        return None
    answer = end.get("answer")
    message = str(end.get("detail") or (answer.get("message") if isinstance(answer, dict) else "") or "")
    command: Literal["deploy", "rollback"] = "rollback" if begin.get("what") == "rollback" else "deploy"
    return LastReport(command, release_of(begin.get("release")), _outcome(end), at, message)


def _outcome(line: Dict[str, Any]) -> CommandOutcome:
    try:
        return typed.decode(cast("Any", CommandOutcome), line.get("outcome"))
    except typed.Mistakes:
        return "refused"


def _answer(line: Dict[str, Any]) -> Answer:
    """As the journal's line has it; a line of an older Teal says only that the command ran."""
    stored = line.get("answer")
    try:
        if isinstance(stored, dict) and "code" in stored:
            return _error(typed.decode_known(Failure, stored))
        return typed.decode_known(Result, stored)
    except typed.Mistakes:
        return BadRequest("this command already ran; its result was not recorded", hint="teal status")


def _error(failure: Failure) -> HostError:
    error = HostError(failure.message, (), failure.hint)
    error.code = failure.code
    return error.about(failure.release, failure.color, failure.previous)
