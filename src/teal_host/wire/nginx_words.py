"""nginx's own way to split a file into words, as far as Teal has to read what others wrote.

Pure. The rules are those of nginx's parser (src/core/ngx_conf_file.c): a word ends at white space, `;` or `{`; quotes
`"` and `'` hold a word together; a backslash takes the next character as it is; `#` begins a comment at a word's start.
"""

from typing import Iterator, List, NamedTuple, Optional


class Word(NamedTuple):
    """`sign`: it is one of `;`, `{` and `}`, and not a quoted text that looks like one."""

    text: str
    line: int
    sign: bool = False


class NotWhole(ValueError):
    """The text ends inside a quote."""


def words(text: str) -> Iterator[Word]:
    """All words and signs. Raises NotWhole."""
    at, line = 0, 1
    while at < len(text):
        char = text[at]
        if char == "\n":
            line += 1
        if char.isspace():
            at += 1
        elif char == "#":
            at = _line_end(text, at)
        elif char in ";{}":
            yield Word(char, line, True)
            at += 1
        else:
            word, after = _quoted(text, at) if char in "\"'" else _bare(text, at)
            yield Word(word, line)
            line += text.count("\n", at, after)
            at = after


def whole_directive(text: str) -> Optional[str]:
    """What is wrong with a text that should be exactly one directive, `name …;` or `name … { … }`; or None."""
    depth, ended, seen = 0, False, False
    try:
        for word in words(text):
            if ended:
                return "must be one directive; give each its own entry in the list"
            if word.sign and word.text == "}":
                depth -= 1
            elif word.sign and word.text == "{":
                depth += 1
            if depth < 0 or (word.sign and not seen):
                return "must begin with a directive's name and close only what it opens"
            seen = True
            ended = depth == 0 and word.sign
    except NotWhole:
        return "has a quote that is not closed"
    return None if ended else 'must end with ";" or with the "}" of its block'


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _quoted(text: str, at: int) -> "tuple[str, int]":
    quote, said, at = text[at], [], at + 1
    while at < len(text) and text[at] != quote:
        at += text[at] == "\\" and at + 1 < len(text)
        said.append(text[at])
        at += 1
    if at >= len(text):
        raise NotWhole
    return "".join(said), at + 1


def _bare(text: str, at: int) -> "tuple[str, int]":
    """`${name}` is a part of a word, so its braces are no signs."""
    said: List[str] = []
    while at < len(text) and not (text[at].isspace() or text[at] in ";{"):
        if text[at] == "\\" and at + 1 < len(text):
            said.append(text[at])
            at += 1
        elif text.startswith("${", at):
            said.append("$")
            at += 1
        said.append(text[at])
        at += 1
    return "".join(said), at
