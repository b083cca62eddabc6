"""A change of a machine's nginx, tried before it is made: nginx reads a main file in memory that includes the new text.

So what it refuses is never in the place of what it reads, not even for a moment in which this side could be killed.
"""

import re
from pathlib import Path
from typing import Dict, List, Optional, Sequence

from teal_host.ground import files
from teal_host.ground.run import run
from teal_host.proxies.nginx.program import NginxProgram
from teal_host.proxies.nginx.tree import Directive, Tree, included, matches

_CHECK_S = 30.0


def refusal(program: NginxProgram, tree: Tree, path: Path, text: str, without: Sequence[Path]) -> Optional[str]:
    """What nginx says against `text` at this path with these other files gone; None when it would take it.

    Also None where that cannot be tried beforehand, because the include stands in a file of its own.
    """
    main = Path(tree.main)
    with files.scratch(main.parent) as folder:
        content = trial_text(tree, main.read_text(errors="surrogateescape"), {path: folder / "trial"}, without)
        if content is None:
            return None
        files.write_scratch(folder / "trial", text)
        files.write_scratch(folder / main.name, content)
        told = run([*_without_its_file(program.argv), "-c", str(folder / main.name), "-t"], _CHECK_S)
        said = told.output.replace(f"{folder}/trial", str(path)).replace(str(folder), str(main.parent))
        return said if told.code else None


def trial_text(tree: Tree, main: str, instead: Dict[Path, Path], without: Sequence[Path]) -> Optional[str]:
    """The main file, its lines where they were, with each include that matters spelt out file by file."""
    lines = main.split("\n")
    for one in _concerned(tree, [*instead, *without]):
        if one.file != tree.main or one.line > len(lines):
            return None
        said = re.compile(rf"include\s+[\"']?{re.escape(one.args[0])}[\"']?\s*;")
        if len(said.findall(lines[one.line - 1])) != 1:
            return None
        spelt = " ".join(f"include {name};" for name in _names(tree, one, instead, without))
        lines[one.line - 1] = said.sub(lambda _, spelt=spelt: spelt, lines[one.line - 1])  # type: ignore[misc]
    return "\n".join(lines)


def _concerned(tree: Tree, paths: Sequence[Path]) -> List[Directive]:
    """Each include by which nginx reads, or would read, one of these."""
    includes = (one for one in tree.http() if one.name == "include" and len(one.args) == 1)
    return [one for one in includes if any(matches(tree.full(one.args[0]), str(path)) for path in paths)]


def _names(tree: Tree, one: Directive, instead: Dict[Path, Path], without: Sequence[Path]) -> List[Path]:
    """In nginx's order: that of their bytes."""
    pattern = tree.full(one.args[0])
    there = {Path(name) for name in included(tree, one.args[0])} - set(without)
    there |= {path for path in instead if matches(pattern, str(path))}
    return [instead.get(path, path) for path in sorted(there, key=lambda path: str(path).encode())]


def _without_its_file(argv: Sequence[str]) -> List[str]:
    return [part for number, part in enumerate(argv) if part != "-c" and argv[number - 1] != "-c"]
