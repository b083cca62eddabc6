"""What a walk of a hint does: it reads the printed hint, and types it as a person would."""

from collections.abc import Mapping
from typing import Any

from hints.collect import pattern


def hint_of(printed: Mapping[str, Any], text: str) -> str:
    """The hint of an error or a finding, which must be the hint of this walk."""
    hint = str(printed["hint"])
    assert pattern(text).fullmatch(hint), hint
    return hint
