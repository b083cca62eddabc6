"""For a terminal: the running step with a spinner and what it waits for, and finished steps with their times."""

from rich.console import Console
from rich.status import Status
from rich.text import Text

from teal.ui.base import STOPPED, Manner, Progress, Ui, shown
from teal_host.wire.messages import OVERTAKEN, Note, Step

_TEAL = "rgb(0,118,108)"
_ENDS = {OVERTAKEN: Text("– ", "dim"), STOPPED: Text("– ", "dim")}  # of a step that is not done and did not fail


class Live(Ui):
    def __init__(self, manner: Manner) -> None:
        self._console = console(manner)
        self._manner = manner
        self._status: Status | None = None
        self.shows_output = manner.verbose

    def step(self, step: Step) -> None:
        if (step.name, step.state) == ("connect", "started"):
            return  # ssh may ask a question now, so nothing else writes to the terminal
        if step.state == "started":
            self._show(f"{step.name}  {shown(step.detail)}")
            return
        self.close()
        mark = Text("✓ ", _TEAL) if step.state == "done" else _ENDS.get(step.detail, Text("✗ ", "red"))
        line = f"{step.name:<8} {step.seconds:6.2f} s  "
        self._console.print(Text.assemble(" ", mark, line, (shown(step.detail), "dim")), highlight=False)

    def note(self, note: Note) -> None:
        style = "yellow" if note.level == "warning" else "dim"
        self._console.print(Text(f" ! {shown(note.text)}", style), highlight=False)

    def output(self, line: str) -> None:
        if self._manner.verbose:
            self._console.print(Text(f"   │ {shown(line)}", "dim"), highlight=False)
        else:
            self._show(f"build  {shown(line)[:80]}")

    def why(self, text: str) -> None:
        if self._manner.verbose:
            self._console.print(Text(f"   {shown(text)}", "dim"), highlight=False)

    def progress(self, progress: Progress) -> None:
        self._show(f"{progress.step}  {progress}")

    def close(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None

    def _show(self, text: str) -> None:
        line = Text(text, "dim")
        if self._status is None:
            self._status = self._console.status(line, spinner="dots", spinner_style=_TEAL)
            self._status.start()
        else:
            self._status.update(line)


def console(manner: Manner) -> Console:
    return Console(stderr=True, no_color=not manner.color, soft_wrap=True)
