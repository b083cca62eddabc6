"""What a walk of a hint does: it reads the printed hint, and types it as a person would."""

import shlex
from collections.abc import Mapping
from typing import Any

from harness.world import App, Ended
from hints.collect import pattern


def hint_of(printed: Mapping[str, Any], text: str) -> str:
    """The hint of an error or a finding, which must be the hint of this walk."""
    hint = str(printed["hint"])
    assert pattern(text).fullmatch(hint), hint
    return hint


def type_in(app: App, command: str) -> Ended:
    """Types a command of Teal that a hint names."""
    first, *words = shlex.split(command)
    assert first == "teal", command
    return app.teal(*words).ok()
