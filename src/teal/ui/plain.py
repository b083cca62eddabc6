"""For CI, pipes and files: plain lines on standard error."""

import sys
import time

from teal.ui.base import STOPPED, Manner, Progress, Ui, shown
from teal_host.wire.messages import OVERTAKEN, Note, Step

_PROGRESS_EVERY_S = 5.0
_ENDS = {STOPPED: "stopped", OVERTAKEN: "gave way"}  # of a step that is not done and did not fail, by its detail


class Plain(Ui):
    shows_output = True

    def __init__(self, manner: Manner) -> None:
        self._manner = manner
        self._last_progress = time.monotonic()
        self._last_detail = ""

    def step(self, step: Step) -> None:
        if step.state == "started":
            self._show_wait(step)
            return
        mark = "ok" if step.state == "done" else _ENDS.get(step.detail, "FAILED")
        say(f"{step.name:<8} {mark} {step.seconds:6.2f} s  {shown(step.detail)}".rstrip())

    def note(self, note: Note) -> None:
        say(f"{note.level}: {shown(note.text)}")

    def output(self, line: str) -> None:
        say(f"  | {shown(line)}")

    def why(self, text: str) -> None:
        if self._manner.verbose:
            say(f"  {shown(text)}")

    def progress(self, progress: Progress) -> None:
        if time.monotonic() - self._last_progress >= _PROGRESS_EVERY_S:
            self._last_progress = time.monotonic()
            say(f"{progress.step:<8} ... {progress}")

    def _show_wait(self, step: Step) -> None:
        """What the step waits for, at most every few seconds, so that a CI log shows that Teal still works."""
        if step.detail and time.monotonic() - self._last_progress >= _PROGRESS_EVERY_S:
            self._last_progress = time.monotonic()
            say(f"{step.name:<8} ... {shown(step.detail)}")


class Quiet(Ui):
    """Warnings only."""

    def note(self, note: Note) -> None:
        if note.level == "warning":
            say(f"warning: {shown(note.text)}")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201
