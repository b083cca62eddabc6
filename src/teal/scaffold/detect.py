"""The story of `teal init`: read the directory, know the language, pick a program, see how it is run."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from teal.scaffold import languages
from teal.scaffold.clues import Clues, clues
from teal.scaffold.kinds import is_manifest
from teal.scaffold.names import fitted, last
from teal.scaffold.project import Choice, Project, UnknownProgramError
from teal.scaffold.recipe import Program, Recipe
from teal.scaffold.tree import BYTES, FILES, Tree, read

TESTS = frozenset({"test", "tests", "benches", "spec", "specs", "e2e"})
GUESS = Program("", (), "dist/app")


def detect(directory: Path, program: str | None = None) -> Project:
    tree = read(directory)
    recipe = _recipe(tree)
    chosen = _pick(recipe, program)
    sources = [tree.text(path) for path in sorted(tree.texts) if _belongs(path, chosen, recipe)]
    seen = clues(sources, [tree.text(path) for path in recipe.manifests])
    return _project(recipe, chosen, seen, (*_on_the_choice(recipe, program), *_on_the_tree(tree, recipe)))


def programs(directory: Path) -> tuple[str, ...]:
    return choice(directory).programs


def choice(directory: Path) -> Choice:
    recipe = _recipe(read(directory))
    return Choice(recipe.language, tuple(program.name for program in recipe.programs))


def _recipe(tree: Tree) -> Recipe:
    return languages.recipe(tree) or Recipe("", tree.name, ())


def _pick(recipe: Recipe, wanted: str | None) -> Program:
    if wanted is None:
        return recipe.programs[0] if recipe.programs else GUESS
    exact = wanted.removeprefix("./").rstrip("/") or "."
    same = [program for program in recipe.programs if program.name == exact]
    alike = [program for program in recipe.programs if last(program.name) == exact]
    if same or len(alike) == 1:
        return (same or alike)[0]
    raise UnknownProgramError(wanted, [program.name for program in recipe.programs])


def _belongs(path: str, chosen: Program, recipe: Recipe) -> bool:
    """The flags of one program say nothing about another."""
    pure = PurePosixPath(path)
    tests = TESTS.intersection(pure.parts) or pure.stem.endswith(("_test", ".test", ".spec"))
    owners = [program for program in recipe.programs if _owns(program.home, path)]
    owner = max(owners, key=lambda program: len(program.home), default=chosen)
    return path.endswith(recipe.suffixes) and not tests and owner.home == chosen.home


def _owns(home: str, path: str) -> bool:
    if home == ".":
        return "/" not in path
    return bool(home) and (path == home or path.startswith(f"{home}/"))


def _project(recipe: Recipe, chosen: Program, seen: Clues, notes: Sequence[str]) -> Project:
    wish = chosen.app or recipe.name
    app = fitted(last(wish))
    renamed = [] if app == last(wish).lower() else [f"app: {app}, made from {wish!r} to fit a-z, 0-9 and -"]
    return Project(
        app=app,
        language=recipe.language,
        build=chosen.build,
        build_env=recipe.env,
        artifact=chosen.artifact,
        command=(chosen.executable, *seen.arguments),
        health_path=seen.health,
        verify_path=seen.verify,
        data=seen.data,
        notes=tuple(map(_one_line, (*notes, *renamed, *recipe.notes, *seen.notes))),
    )


def _one_line(note: str) -> str:
    """Names come from strangers' files and end up on a terminal."""
    return "".join(char if char.isprintable() else "?" for char in note)


def _on_the_choice(recipe: Recipe, wanted: str | None) -> Iterator[str]:
    names = [program.name for program in recipe.programs]
    if wanted is None and len(names) > 1:
        yield f"program: {names[0]}; there are also {', '.join(names[1:])}"
    if not names:
        what = f"no {recipe.language} program" if recipe.language else "nothing known"
        yield f"build: {what} to build was found; fill in build.command, build.artifact and run.command"


def _on_the_tree(tree: Tree, recipe: Recipe) -> Iterator[str]:
    if not tree.complete:
        yield f"look: only the first {FILES} files and {BYTES // 1_000_000} MB were read"
    if recipe.programs:
        return
    if tree.built:
        yield f"artifact: several executables are there: {', '.join(tree.built)}"
    below = sorted({str(PurePosixPath(path).parent) for path in tree.texts if is_manifest(path)} - {"."})
    if below:
        yield f"look: there is a project in {', '.join(below[:3])}; teal init can be run there"
