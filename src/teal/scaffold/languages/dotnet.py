""".NET: every project that builds an executable. dotnet publishes each into one directory."""

import re
from pathlib import PurePosixPath

from teal.scaffold.languages import ranks
from teal.scaffold.sources.kinds import DOTNET
from teal.scaffold.sources.parse import first
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import SourceTree

LANGUAGES = {".csproj": "C#", ".fsproj": "F#", ".vbproj": "Visual Basic"}
EXECUTABLE = re.compile(r'Sdk\s*=\s*"Microsoft\.NET\.Sdk\.(?:Web|Worker)"|<OutputType>\s*(?:Win)?Exe\s*<', re.I)
TEST = re.compile(r"Microsoft\.NET\.Test\.Sdk|<IsTestProject>\s*true", re.I)
ASSEMBLY = re.compile(r"<AssemblyName>\s*([^<$\s]+)\s*<")
NATIVE = re.compile(r"<PublishAot>\s*true", re.I)
PUBLISHED = "dist/app"
NOTE = "build: compiles for linux-x64; write linux-arm64 for a server with an ARM processor"


def recipe(tree: SourceTree) -> Recipe | None:
    projects = tree.ending(*LANGUAGES)
    runnable = sorted(filter(lambda path: _is_executable(tree.text(path)), projects), key=_rank)
    if not projects:
        return None
    language = LANGUAGES[PurePosixPath((runnable or projects)[0]).suffix]
    programs = tuple(_program(path, tree.text(path)) for path in runnable)
    return Recipe(language, "", programs, DOTNET, tuple(runnable), notes=(NOTE,))


def _is_executable(text: str) -> bool:
    return bool(EXECUTABLE.search(text)) and not TEST.search(text)


def _rank(path: str) -> tuple[bool, int, int, str]:
    words = PurePosixPath(path).stem.replace(".", "-")
    return ranks.is_auxiliary(path), ranks.server_rank(words), path.count("/"), path


def _program(path: str, text: str) -> ProgramRecipe:
    pure = PurePosixPath(path)
    # Native AOT always builds a single file.
    single = () if NATIVE.search(text) else ("--self-contained", "-p:PublishSingleFile=true")
    build = ("dotnet", "publish", path, "-c", "Release", "-r", "linux-x64", *single, "-o", PUBLISHED)
    return ProgramRecipe(pure.stem, build, PUBLISHED, str(pure.parent), pure.stem, first(ASSEMBLY, text, pure.stem))
