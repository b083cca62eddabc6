""".NET: every project that makes an executable, published as one directory."""

import re
from pathlib import PurePosixPath

from teal.scaffold.languages import ranks
from teal.scaffold.recipe import Program, Recipe
from teal.scaffold.tree import Tree

LANGUAGES = {".csproj": "C#", ".fsproj": "F#", ".vbproj": "Visual Basic"}
RUNS = re.compile(r'Sdk\s*=\s*"Microsoft\.NET\.Sdk\.(?:Web|Worker)"|<OutputType>\s*(?:Win)?Exe\s*<', re.I)
TEST = re.compile(r"Microsoft\.NET\.Test\.Sdk|<IsTestProject>\s*true", re.I)
ASSEMBLY = re.compile(r"<AssemblyName>\s*([^<$\s]+)\s*<")
AHEAD = re.compile(r"<PublishAot>\s*true", re.I)
PUBLISHED = "dist/app"
NOTE = "build: made for linux-x64; write linux-arm64 for a server with an ARM processor"


def recipe(tree: Tree) -> Recipe | None:
    files = tree.ending(*LANGUAGES)
    runnable = sorted(filter(lambda path: _runs(tree.text(path)), files), key=_rank)
    if not files:
        return None
    language = LANGUAGES[PurePosixPath((runnable or files)[0]).suffix]
    programs = tuple(_program(path, tree.text(path)) for path in runnable)
    return Recipe(language, "", programs, (".cs", ".fs", ".vb"), tuple(runnable), notes=(NOTE,))


def _runs(text: str) -> bool:
    return bool(RUNS.search(text)) and not TEST.search(text)


def _rank(path: str) -> tuple[bool, int, int, str]:
    words = PurePosixPath(path).stem.replace(".", "-")
    return ranks.aside(path), ranks.serverlike(words), path.count("/"), path


def _program(path: str, text: str) -> Program:
    pure = PurePosixPath(path)
    assembly = ASSEMBLY.search(text)
    # A program compiled ahead of time is one file already.
    single = () if AHEAD.search(text) else ("--self-contained", "-p:PublishSingleFile=true")
    build = ("dotnet", "publish", path, "-c", "Release", "-r", "linux-x64", *single, "-o", PUBLISHED)
    start = assembly[1] if assembly else pure.stem
    return Program(pure.stem, build, PUBLISHED, str(pure.parent), pure.stem, start)
