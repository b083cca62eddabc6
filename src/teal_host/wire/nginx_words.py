"""nginx's own way to split a file into words, as far as Teal has to read what others wrote.

Pure. The rules are those of nginx's parser (src/core/ngx_conf_file.c): a word ends at a blank, `;` or `{`; at its start
`}` and `#` are special and quotes hold it together; a backslash takes the next character along; `${` is part of a word.
What is in a `…_by_lua_block { }` is Lua, whose braces and quotes are told apart as the Lua module does.
"""

import re
from typing import Iterator, NamedTuple, Optional, Set

_BLANKS = " \t\r\n"  # and nothing else that Python calls a space
_GAP = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_BARE = re.compile(r"(?:\\.|\$\{*|[^ \t\r\n;{\\$])+", re.DOTALL)
_QUOTED = re.compile(r""""((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'""", re.DOTALL)
_ESCAPE = re.compile(r"""\\(["'\\trn])""")
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n"}
_LUA = re.compile(r"""(?:--)?\[(?P<level>=*)\[|--[^\n]*|["'{}]""")
_LINE = re.compile(r"[^\n]*")
_REST_OF_QUOTE = {quote: re.compile(rf"(?:\\.|[^{quote}\\])*{quote}", re.DOTALL) for quote in "\"'"}
_IN_LUA = "_by_lua_block"
_UNENDED = 'must end with ";" or with the "}" of its block'


class Word(NamedTuple):
    """`sign`: it is one of `;`, `{` and `}`, and not a quoted text that looks like one. `line` is where it begins."""

    text: str
    line: int
    sign: bool = False


class NotWhole(ValueError):
    """nginx would not read it: a quote without its end, or with something glued to it. `line` says where."""

    def __init__(self, complaint: str, line: int) -> None:
        super().__init__(complaint)
        self.line = line


def words(text: str) -> Iterator[Word]:
    """All words and signs. Raises NotWhole."""
    at, line, name = 0, 1, ""
    while True:
        begin = _end_of(_GAP, text, at)
        line += text.count("\n", at, begin)
        if begin == len(text):
            return
        token, at = _next(text, begin, line)
        yield token
        line += text.count("\n", begin, at)
        if token.sign and token.text == "{" and name.endswith(_IN_LUA):
            begin, at = at, _end_of_lua(text, at, line)
            line += text.count("\n", begin, at)
        name = "" if token.sign else name or token.text


def whole_directive(text: str) -> Optional[str]:
    """What is wrong with a text that should be exactly one directive, `name …;` or `name … { … }`; or None."""
    depth, ended, inside = 0, False, 0
    try:
        for word in words(text):
            if ended:
                return "must be one directive; give each its own entry in the list"
            if not word.sign:
                inside += 1
                continue
            if (word.text == "}") == bool(inside):
                return 'has a ";", "{" or "}" where a directive\'s name must be, or no ";" before a "}"'
            depth += {"{": 1, "}": -1}.get(word.text, 0)
            if depth < 0:
                return "must close only what it opens"
            inside = 0
            ended = depth == 0
    except NotWhole as error:
        return str(error)
    return None if ended else _UNENDED


def _next(text: str, at: int, line: int) -> "tuple[Word, int]":
    """The word or sign that begins here, and where it ends."""
    if text[at] in ";{}":
        return Word(text[at], line, True), at + 1
    if text[at] not in "\"'":
        end = _end_of(_BARE, text, at)
        if end == len(text) or text[end] == "\\":
            raise NotWhole(_UNENDED, line)
        return Word(_plain(text[at:end]), line), end
    quoted = _QUOTED.match(text, at)
    if not quoted:
        raise NotWhole("has a quote that is not closed", line)
    if quoted.end() == len(text):
        raise NotWhole(_UNENDED, line)
    if text[quoted.end()] not in _BLANKS + ";{)":
        raise NotWhole("has something glued to the end of a quote", line + quoted.group().count("\n"))
    return Word(_plain(quoted.group()[1:-1]), line), quoted.end()


def _plain(raw: str) -> str:
    """Of a backslash nginx takes away only those that it knows; others stay in the word."""
    return _ESCAPE.sub(lambda escape: _ESCAPED.get(escape.group(1), escape.group(1)), raw)


def _end_of_lua(text: str, at: int, line: int) -> int:
    """Where the `}` stands that closes a block of Lua."""
    depth = 0
    unclosed: Set[str] = set()
    while token := _LUA.search(text, at):
        if token.group() == "}" and depth == 0:
            return token.start()
        depth += {"{": 1, "}": -1}.get(token.group(), 0)
        is_open = token["level"] is not None or token.group() in _REST_OF_QUOTE
        at = _end_of_lua_text(text, token, unclosed) if is_open else token.end()
    raise NotWhole("has a block of Lua that is not closed", line)


def _end_of_lua_text(text: str, begin: "re.Match[str]", unclosed: Set[str]) -> int:
    """Where a quoted or long text ends, or a long comment. One without an end is no text, and `unclosed` remembers that
    none of its kind ends any more: else a text of nothing but beginnings is read as often as it has them.
    """
    closing = begin.group() if begin["level"] is None else f"]{begin['level']}]"
    end = -1 if closing in unclosed else _behind(closing, text, begin.end())
    if end >= 0:
        return end
    unclosed.add(closing)
    return _end_of(_LINE, text, begin.start()) if begin.group().startswith("--") else begin.start() + 1


def _behind(closing: str, text: str, at: int) -> int:
    """The end of what this closes; -1 if that stays open."""
    if closing in _REST_OF_QUOTE:
        rest = _REST_OF_QUOTE[closing].match(text, at)
        return rest.end() if rest else -1
    begin = text.find(closing, at)
    return begin + len(closing) if begin >= 0 else -1


def _end_of(pattern: "re.Pattern[str]", text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
