"""nginx tries a change before Teal makes it: nginx reads a main file in memory that includes the new text.

So a text that nginx refuses never stands where nginx reads, not even for a moment in which somebody could kill Teal.
"""

import re
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from teal_host.ground import files
from teal_host.ground.run import run
from teal_host.proxies.nginx.program import NginxProgram
from teal_host.proxies.nginx.tree import Directive, Tree, included, matches
from teal_host.wire.values import dataclass

_CHECK_S = 30.0


@dataclass(frozen=True)
class TriedFile:
    """A file that is to be written, and the other files that are to be removed with the same change."""

    path: Path
    text: str
    removed: Tuple[Path, ...] = ()


def refusal(program: NginxProgram, tree: Tree, tried: TriedFile) -> Optional[str]:
    """nginx's complaint about the file. None: nginx accepts the file.

    Also None if nginx cannot try the file, because the include stands in a file other than the main file.
    """
    main = Path(tree.main)
    with files.scratch(main.parent) as folder:
        content = trial_text(
            tree, main.read_text(errors="surrogateescape"), {tried.path: folder / "trial"}, tried.removed
        )
        if content is None:
            return None
        files.write_scratch(folder / "trial", tried.text)
        files.write_scratch(folder / main.name, content)
        checked = run([*_without_main_file(program.argv), "-c", str(folder / main.name), "-t"], _CHECK_S)
        output = checked.output.replace(f"{folder}/trial", str(tried.path)).replace(str(folder), str(main.parent))
        return output if checked.code else None


def trial_text(tree: Tree, main: str, replacements: Dict[Path, Path], without: Sequence[Path]) -> Optional[str]:
    """The main file with the same lines, but each include that matters names its files one by one."""
    lines = main.split("\n")
    for include in _concerned(tree, [*replacements, *without]):
        if include.file != tree.main or include.line > len(lines):
            return None
        written = re.compile(rf"include\s+[\"']?{re.escape(include.args[0])}[\"']?\s*;")
        if len(written.findall(lines[include.line - 1])) != 1:
            return None
        spelt = " ".join(f"include {name};" for name in _names(tree, include, replacements, without))
        lines[include.line - 1] = written.sub(lambda _, spelt=spelt: spelt, lines[include.line - 1])  # type: ignore[misc]
    return "\n".join(lines)


def _concerned(tree: Tree, paths: Sequence[Path]) -> List[Directive]:
    """Each include by which nginx reads, or would read, one of these paths."""
    includes = (each for each in tree.http() if each.name == "include" and len(each.args) == 1)
    return [include for include in includes if any(matches(tree.full(include.args[0]), str(path)) for path in paths)]


def _names(tree: Tree, include: Directive, replacements: Dict[Path, Path], without: Sequence[Path]) -> List[Path]:
    """The files of the include in nginx's order: by the bytes of their names."""
    pattern = tree.full(include.args[0])
    paths = {Path(name) for name in included(tree, include.args[0])} - set(without)
    paths |= {path for path in replacements if matches(pattern, str(path))}
    return [replacements.get(path, path) for path in sorted(paths, key=lambda path: str(path).encode())]


def _without_main_file(argv: Sequence[str]) -> List[str]:
    return [part for number, part in enumerate(argv) if part != "-c" and argv[number - 1] != "-c"]
