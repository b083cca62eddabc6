"""A small reader of nginx's syntax, written from its rules and not from the text that Teal renders.

A word ends at a blank, `;` or `{`. Only at its beginning are `}`, `#` and quotes special. In quotes only a backslash
and the same quote are, and after them a blank, `;`, `{` or `)` must follow.
"""

from collections.abc import Iterator
from dataclasses import dataclass

_BLANK = " \t\r\n"


@dataclass(frozen=True)
class Directive:
    words: tuple[str, ...]
    block: "tuple[Directive, ...]" = ()

    def all(self, name: str) -> "Iterator[Directive]":
        """Every directive of this name inside, at any depth."""
        for directive in self.block:
            if directive.words[:1] == (name,):
                yield directive
            yield from directive.all(name)

    def one(self, name: str) -> tuple[str, ...]:
        """The arguments of the only directive of this name."""
        (directives,) = self.all(name)
        return directives.words[1:]


def parse(text: str) -> Directive:
    """The whole file as one block. Raises ValueError when nginx would not read it."""
    tokens = list(_tokens(text))
    block, rest = _block(tokens, 0)
    if rest != len(tokens):
        raise ValueError("a block is closed that was never opened")
    return Directive((), block)


def _block(tokens: list[tuple[str, bool]], at: int) -> tuple[tuple[Directive, ...], int]:
    directives: list[Directive] = []
    words: list[str] = []
    while at < len(tokens) and tokens[at] != ("}", True):
        text, special = tokens[at]
        at += 1
        if not special:
            words.append(text)
            continue
        inside: tuple[Directive, ...] = ()
        if text == "{":
            inside, at = _block(tokens, at)
            if at == len(tokens):
                raise ValueError("a block is not closed")
            at += 1
        directives.append(Directive(tuple(words), inside))
        words = []
    if words:
        raise ValueError(f"no end of {words}")
    return tuple(directives), at


def _tokens(text: str) -> Iterator[tuple[str, bool]]:
    """Words, and what is special: `;`, `{` and `}`."""
    at = 0
    while at < len(text):
        char = text[at]
        if char in _BLANK:
            at += 1
        elif char == "#":
            at = text.index("\n", at)
        elif char in ";{}":
            yield char, True
            at += 1
        else:
            word, at = _quoted(text, at + 1, char) if char in "\"'" else _bare(text, at)
            yield word, False


def _quoted(text: str, at: int, quote: str) -> tuple[str, int]:
    word = ""
    while text[at] != quote:
        at += text[at] == "\\"
        word += text[at]
        at += 1
    if text[at + 1] not in _BLANK + ";{)":
        raise ValueError(f"no blank after {word!r}")
    return word, at + 1


def _bare(text: str, at: int) -> tuple[str, int]:
    begin = at
    while text[at] not in _BLANK + ";{" or text[at - 1 : at + 1] == "${":
        at += 2 if text[at] == "\\" else 1
    return text[begin:at], at
