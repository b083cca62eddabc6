"""`teal init` step by step: read the directory, detect the language, pick a program, infer how it is run."""

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from teal.scaffold import languages
from teal.scaffold.names import app_name, last_part
from teal.scaffold.project import Project, UnknownProgramError
from teal.scaffold.run_settings import RunSettings, infer_run_settings
from teal.scaffold.sources.kinds import is_manifest
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import MAX_BYTES, MAX_FILES, SourceTree, read

TESTS = frozenset({"test", "tests", "benches", "spec", "specs", "e2e"})
UNKNOWN_PROGRAM = ProgramRecipe("", (), "dist/app")


def detect(directory: Path, program: str | None = None) -> Project:
    tree = read(directory)
    recipe = _recipe(tree)
    picked = _pick(recipe, program)
    sources = [tree.text(path) for path in sorted(tree.texts) if _is_source_of(picked, path, recipe)]
    settings = infer_run_settings(sources, [tree.text(path) for path in recipe.manifests])
    return _project(recipe, picked, settings, (*_program_notes(recipe, program), *_tree_notes(tree, recipe)))


def program_names(directory: Path) -> tuple[str, ...]:
    """The programs that the directory can build, best guess first."""
    return tuple(program.name for program in _recipe(read(directory)).programs)


def _recipe(tree: SourceTree) -> Recipe:
    return languages.recipe(tree) or Recipe("", tree.name, ())


def _pick(recipe: Recipe, name: str | None) -> ProgramRecipe:
    if name is None:
        return recipe.programs[0] if recipe.programs else UNKNOWN_PROGRAM
    plain = name.removeprefix("./").rstrip("/") or "."
    exact_matches = [program for program in recipe.programs if program.name == plain]
    short_matches = [program for program in recipe.programs if last_part(program.name) == plain]
    if exact_matches or len(short_matches) == 1:
        return (exact_matches or short_matches)[0]
    raise UnknownProgramError(name, [program.name for program in recipe.programs])


def _is_source_of(picked: ProgramRecipe, path: str, recipe: Recipe) -> bool:
    """Sources of other programs do not count: their flags are not the flags of the picked program."""
    pure = PurePosixPath(path)
    is_test = TESTS.intersection(pure.parts) or pure.stem.endswith(("_test", ".test", ".spec"))
    owners = [program for program in recipe.programs if _owns(program.home, path)]
    owner = max(owners, key=lambda program: len(program.home), default=picked)
    return path.endswith(recipe.suffixes) and not is_test and owner.home == picked.home


def _owns(home: str, path: str) -> bool:
    if home == ".":
        return "/" not in path
    return bool(home) and (path == home or path.startswith(f"{home}/"))


def _project(recipe: Recipe, picked: ProgramRecipe, settings: RunSettings, notes: Sequence[str]) -> Project:
    name = picked.app or recipe.name
    app = app_name(last_part(name))
    renamed = [] if app == last_part(name).lower() else [f"app: {app}, made from {name!r} to fit a-z, 0-9 and -"]
    return Project(
        app=app,
        language=recipe.language,
        build=picked.build,
        build_env=recipe.env,
        artifact=picked.artifact,
        command=(picked.executable, *settings.arguments),
        health_path=settings.health,
        verify_path=settings.verify,
        data=settings.data,
        notes=tuple(map(_one_line, (*notes, *renamed, *recipe.notes, *settings.notes))),
    )


def _one_line(note: str) -> str:
    """Keeps control characters from the terminal: notes quote names from files that strangers wrote."""
    return "".join(char if char.isprintable() else "?" for char in note)


def _program_notes(recipe: Recipe, requested: str | None) -> Iterator[str]:
    names = [program.name for program in recipe.programs]
    if requested is None and len(names) > 1:
        yield f"program: {names[0]}; the directory also has {', '.join(names[1:])}"
    if not names:
        missing = f"no {recipe.language} program" if recipe.language else "nothing that teal init knows"
        yield f"build: the directory has {missing} to build; fill in build.command, build.artifact and run.command"


def _tree_notes(tree: SourceTree, recipe: Recipe) -> Iterator[str]:
    if not tree.complete:
        yield f"sources: only the first {MAX_FILES} files and {MAX_BYTES // 1_000_000} MB were read"
    if recipe.programs:
        return
    if tree.built:
        yield f"artifact: the directory has several executables: {', '.join(tree.built)}"
    subdirectories = sorted({str(PurePosixPath(path).parent) for path in tree.texts if is_manifest(path)} - {"."})
    if subdirectories:
        yield f"project: run teal init in a project of this directory: {', '.join(subdirectories[:3])}"
