"""The whole configuration of a machine's nginx, which `nginx -T` prints, as values. Pure, and without decisions."""

import posixpath
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from teal_host.wire.nginx_words import NotWhole, Word, words
from teal_host.wire.values import dataclass

_MARK = re.compile(r"^# configuration file (/.*):$", re.MULTILINE)
_REFUSAL = re.compile(
    r"\[(?:emerg|alert|crit|error)\] (?:\d+#\d+: )?(.*?)(?: in (/[^\n]*):([0-9]{1,9}))?$", re.MULTILINE
)
_DEEPEST = 100  # blocks in blocks, and includes in includes; nginx itself stops when it may open no more files


@dataclass(frozen=True)
class Directive:
    """`name words…;` or `name words… { block }`. The block of an `include` is the content of its files."""

    name: str
    args: Tuple[str, ...]
    file: str
    line: int
    block: "Tuple[Directive, ...]" = ()

    def inside(self) -> "Iterator[Directive]":
        """The directives of the block, through includes, in nginx's order."""
        return flat(self.block)

    def all(self, name: str) -> "Iterator[Directive]":
        return (inner for inner in self.inside() if inner.name == name)


@dataclass(frozen=True)
class Tree:
    """`main` is the main file. Every relative file name is relative to the main file's directory."""

    main: str
    files: Tuple[str, ...]
    directives: Tuple[Directive, ...]

    def top(self, name: str) -> Iterator[Directive]:
        return (directive for directive in flat(self.directives) if directive.name == name)

    def http(self) -> Iterator[Directive]:
        """The directives at the level of `http { … }`, with the includes themselves."""
        for block in self.top("http"):
            yield from _with_includes(block.block)

    def full(self, name: str) -> str:
        return posixpath.join(posixpath.dirname(self.main), name)


class CannotRead(ValueError):
    """This reader does not understand the text, though nginx may."""

    def __init__(self, complaint: str, file: str = "", line: int = 0) -> None:
        super().__init__(complaint)
        self.file = file
        self.line = line


def parse(text: str) -> Tree:
    """`text` is what `nginx -T` printed. Earlier lines, such as warnings, do not count. Raises CannotRead."""
    texts = _texts(text)
    if not texts:
        raise CannotRead("nginx -T printed no configuration")
    main = next(iter(texts))
    bare = {file: _file(file, content) for file, content in texts.items()}
    tree = Tree(main, tuple(texts), ())
    return replace(tree, directives=_resolved(tree, bare[main], bare, 0))


def refusal(output: str) -> "Tuple[str, Optional[str], Optional[int]]":
    """nginx's own words for why it refuses, and the file and line that it names, if any."""
    match = _REFUSAL.search(output)
    if not match:
        lines = output.strip().splitlines()
        return (lines[-1] if lines else "nginx gave no reason"), None, None
    return match.group(1), match.group(2), int(match.group(3)) if match.group(3) else None


def matches(pattern: str, path: str) -> bool:
    """glob(3): part by part, and a `*` stands for no file whose name begins with a dot."""
    parts, names = _parts(pattern), _parts(path)
    return len(parts) == len(names) and all(_part_matches(part, name) for part, name in zip(parts, names))


def is_pattern(name: str) -> bool:
    return any(char in name for char in "*?[")


def flat(directives: "Sequence[Directive]") -> "Iterator[Directive]":
    """Each directive; the content of an include stands in place of the include."""
    return (directive for directive in _with_includes(directives) if directive.name != "include")


def _with_includes(directives: "Sequence[Directive]") -> "Iterator[Directive]":
    for directive in directives:
        yield directive
        if directive.name == "include":
            yield from _with_includes(directive.block)


def _texts(text: str) -> "Dict[str, str]":
    """Each file once, in nginx's order. A line that only looks like the head of an earlier file is text."""
    texts: Dict[str, str] = {}
    marks = []
    for mark in _MARK.finditer(text):
        if mark.group(1) not in texts:
            texts[mark.group(1)] = ""
            marks.append(mark)
    for mark, following in zip(marks, [*marks[1:], None]):
        texts[mark.group(1)] = text[mark.end() + 1 : following.start() if following else len(text)]
    return texts


def _file(file: str, text: str) -> "Tuple[Directive, ...]":
    """The directives of one file, with empty includes. nginx lets no block reach from one file into another."""
    try:
        stream = words(text)
        block, end = _block(stream, file, 0)
    except NotWhole as error:
        raise CannotRead(str(error), file, error.line) from None
    if end:
        raise CannotRead('unexpected "}"', file, end.line)
    return block


def _block(stream: Iterator[Word], file: str, depth: int) -> "Tuple[Tuple[Directive, ...], Optional[Word]]":
    """The directives up to the `}` that closes the block, and that `}`; None at the end of the file."""
    directives: List[Directive] = []
    pending: List[Word] = []
    for word in stream:
        if not word.sign:
            pending.append(word)
            continue
        if (word.text == "}") == bool(pending):
            raise CannotRead(f'unexpected "{word.text}"', file, word.line)
        if word.text == "}":
            return tuple(directives), word
        inside: Tuple[Directive, ...] = ()
        if word.text == "{":
            if depth > _DEEPEST:
                raise CannotRead("blocks are nested without end", file, word.line)
            inside, end = _block(stream, file, depth + 1)
            if end is None:
                raise CannotRead("a block is not closed", file, word.line)
        name, *args = pending
        directives.append(Directive(name.text, tuple(arg.text for arg in args), file, name.line, inside))
        pending = []
    if pending:
        raise CannotRead('unexpected end of file, expecting ";" or "}"', file, pending[0].line)
    return tuple(directives), None


def _resolved(
    tree: Tree, directives: "Sequence[Directive]", bare: "Dict[str, Tuple[Directive, ...]]", depth: int
) -> "Tuple[Directive, ...]":
    """The directives with the content of each include; `bare` has the directives of each file."""
    resolved = []
    for directive in directives:
        block = directive.block
        if depth > _DEEPEST:
            raise CannotRead("files include each other without end", directive.file, directive.line)
        if directive.name == "include" and len(directive.args) == 1:
            block = tuple(inner for file in included(tree, directive.args[0]) for inner in bare[file])
        resolved.append(replace(directive, block=_resolved(tree, block, bare, depth + 1)) if block else directive)
    return tuple(resolved)


def included(tree: Tree, name: str) -> List[str]:
    """The files that an include of this name reads, in nginx's order: by the bytes of their names."""
    full = tree.full(name)
    if not is_pattern(full):
        return [full] if full in tree.files else []
    return sorted((file for file in tree.files if matches(full, file)), key=lambda file: file.encode())


def _parts(path: str) -> List[str]:
    return [part for part in path.split("/") if part]


def _part_matches(pattern: str, name: str) -> bool:
    hidden = name.startswith(".") and not pattern.startswith(".")
    return not hidden and (fnmatchcase(name, pattern) if is_pattern(pattern) else name == pattern)
