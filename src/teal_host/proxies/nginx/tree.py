"""The whole configuration of a machine's nginx as `nginx -T` prints it, read into values. Pure; it decides nothing."""

import posixpath
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from teal_host.wire.nginx_words import NotWhole, Word, words
from teal_host.wire.values import dataclass

_MARK = re.compile(r"^# configuration file (/.*):$", re.MULTILINE)
_REFUSAL = re.compile(r"\[(?:emerg|alert|crit|error)\] (?:\d+#\d+: )?(.*?)(?: in (/[^\n]*):(\d+))?$", re.MULTILINE)
_DEEPEST = 32  # includes in includes; nginx itself ends where its open files do


@dataclass(frozen=True)
class Directive:
    """`name words…;` or `name words… { block }`. The block of an `include` is what the files that it names hold."""

    name: str
    args: Tuple[str, ...]
    file: str
    line: int
    block: "Tuple[Directive, ...]" = ()

    def inside(self) -> "Iterator[Directive]":
        """What stands in its block, through includes, in the order that nginx reads it."""
        return flat(self.block)

    def all(self, name: str) -> "Iterator[Directive]":
        return (one for one in self.inside() if one.name == name)


@dataclass(frozen=True)
class Tree:
    """`main` is the main file. Relative names of files are relative to its directory, wherever they are written."""

    main: str
    files: Tuple[str, ...]
    directives: Tuple[Directive, ...]

    def top(self, name: str) -> Iterator[Directive]:
        return (one for one in flat(self.directives) if one.name == name)

    def http(self) -> Iterator[Directive]:
        """What stands at the level of `http { … }`, includes themselves too."""
        for block in self.top("http"):
            yield from _with_includes(block.block)

    def full(self, name: str) -> str:
        return posixpath.join(posixpath.dirname(self.main), name)


class CannotRead(ValueError):
    """Where the text is not what this reader knows, though nginx may read it."""

    def __init__(self, says: str, file: str = "", line: int = 0) -> None:
        super().__init__(says)
        self.file = file
        self.line = line


def parse(text: str) -> Tree:
    """What `nginx -T` printed. Lines before its first file, such as warnings, are passed over. Raises CannotRead."""
    texts = _texts(text)
    if not texts:
        raise CannotRead("nginx -T printed no configuration")
    main = next(iter(texts))
    bare = {file: _file(file, said) for file, said in texts.items()}
    tree = Tree(main, tuple(texts), ())
    return replace(tree, directives=_resolved(tree, bare[main], bare, 0))


def refusal(output: str) -> "Tuple[str, Optional[str], Optional[int]]":
    """nginx's own words for why it refuses, and the file and line that it names, if any."""
    found = _REFUSAL.search(output)
    if not found:
        lines = output.strip().splitlines()
        return (lines[-1] if lines else "nginx gave no reason"), None, None
    return found.group(1), found.group(2), int(found.group(3)) if found.group(3) else None


def matches(pattern: str, path: str) -> bool:
    """glob(3): part by part, and a `*` stands for no file whose name begins with a dot."""
    parts, names = _parts(pattern), _parts(path)
    return len(parts) == len(names) and all(_part_matches(part, name) for part, name in zip(parts, names))


def is_pattern(name: str) -> bool:
    return any(char in name for char in "*?[")


def flat(directives: "Sequence[Directive]") -> "Iterator[Directive]":
    """Each directive, with what an include holds in its place."""
    return (one for one in _with_includes(directives) if one.name != "include")


def _with_includes(directives: "Sequence[Directive]") -> "Iterator[Directive]":
    for one in directives:
        yield one
        if one.name == "include":
            yield from _with_includes(one.block)


def _texts(text: str) -> "Dict[str, str]":
    """Each file once, in nginx's order; a line that only looks like the head of a file that was there is text."""
    found: Dict[str, str] = {}
    marks = []
    for mark in _MARK.finditer(text):
        if mark.group(1) not in found:
            found[mark.group(1)] = ""
            marks.append(mark)
    for mark, following in zip(marks, [*marks[1:], None]):
        found[mark.group(1)] = text[mark.end() + 1 : following.start() if following else len(text)]
    return found


def _file(file: str, text: str) -> "Tuple[Directive, ...]":
    """The directives of one file, includes not yet followed; nginx lets no block reach from one file into another."""
    try:
        stream = words(text)
        block, end = _block(stream, file)
    except NotWhole as error:
        raise CannotRead(str(error), file, error.line) from None
    if end:
        raise CannotRead('unexpected "}"', file, end.line)
    return block


def _block(stream: Iterator[Word], file: str) -> "Tuple[Tuple[Directive, ...], Optional[Word]]":
    """Up to the `}` that closes it, which is given back too; None at the end of the file."""
    found: List[Directive] = []
    said: List[Word] = []
    for word in stream:
        if not word.sign:
            said.append(word)
            continue
        if (word.text == "}") == bool(said):
            raise CannotRead(f'unexpected "{word.text}"', file, word.line)
        if word.text == "}":
            return tuple(found), word
        inside: Tuple[Directive, ...] = ()
        if word.text == "{":
            inside, end = _block(stream, file)
            if end is None:
                raise CannotRead("a block is not closed", file, word.line)
        found.append(Directive(said[0].text, tuple(one.text for one in said[1:]), file, said[0].line, inside))
        said = []
    if said:
        raise CannotRead('unexpected end of file, expecting ";" or "}"', file, said[0].line)
    return tuple(found), None


def _resolved(
    tree: Tree, directives: "Sequence[Directive]", bare: "Dict[str, Tuple[Directive, ...]]", depth: int
) -> "Tuple[Directive, ...]":
    found = []
    for one in directives:
        block = one.block
        if one.name == "include" and len(one.args) == 1:
            if depth > _DEEPEST:
                raise CannotRead("files include each other without end", one.file, one.line)
            block = tuple(inner for file in included(tree, one.args[0]) for inner in bare[file])
        deeper = depth + (one.name == "include")
        found.append(replace(one, block=_resolved(tree, block, bare, deeper)) if block else one)
    return tuple(found)


def included(tree: Tree, name: str) -> List[str]:
    """The files that an include of this name reads, in nginx's order: that of their bytes."""
    full = tree.full(name)
    if not is_pattern(full):
        return [full] if full in tree.files else []
    return sorted((file for file in tree.files if matches(full, file)), key=lambda file: file.encode())


def _parts(path: str) -> List[str]:
    return [part for part in path.split("/") if part]


def _part_matches(pattern: str, name: str) -> bool:
    hidden = name.startswith(".") and not pattern.startswith(".")
    return not hidden and (fnmatchcase(name, pattern) if is_pattern(pattern) else name == pattern)
