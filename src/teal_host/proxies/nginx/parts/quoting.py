"""Paths as words of an nginx file."""

from pathlib import Path

from teal_host.ground.errors import BadRequest

_FORBIDDEN_IN_PATHS = set("$\"\\*?[]{};'`")


def quoted(path: Path) -> str:
    """The path as one word. Raises BadRequest for a path that nginx would read otherwise, such as one with a `$`."""
    text = str(path)
    if not text.isprintable() or _FORBIDDEN_IN_PATHS & set(text):
        raise BadRequest(
            f"the directory {text!r} has a character that cannot be written in an nginx file",
            hint="set XDG_STATE_HOME to a directory with a plainer name",
        )
    return f'"{text}"'
