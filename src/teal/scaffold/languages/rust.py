"""Rust: the binaries of a package, or of all packages of a workspace."""

from teal.scaffold.languages import ranks
from teal.scaffold.languages.cargo import Binary, Package, binaries, packages
from teal.scaffold.sources.parse import Table, string, table, toml
from teal.scaffold.sources.recipe import ProgramRecipe, Recipe
from teal.scaffold.sources.tree import CARGO_SETTINGS, SourceTree

UNREADABLE = "Cargo.toml: teal init could not read it; the program gets the directory's name, please check"
PORTABLE = "x86_64-unknown-linux-musl"


def recipe(tree: SourceTree) -> Recipe | None:
    if "Cargo.toml" not in tree.texts:
        return None
    manifest = toml(tree.text("Cargo.toml"))
    # Without a readable manifest: src/main.rs shows that there is a program, and the directory names it.
    members = [Package(".", tree.name, {})] if manifest is None else packages(tree, manifest)
    candidates = [binary for package in members for binary in binaries(tree, package)]
    programs = tuple(_program(tree, binary) for binary in _unique(sorted(candidates, key=_rank)))
    manifests = ("Cargo.toml", *(package.at("Cargo.toml") for package in members))
    name = string(table(manifest, "package").get("name")) or tree.name
    notes = (UNREADABLE,) if manifest is None else _portability(tree) if programs else ()
    return Recipe("Rust", name, programs, (".rs",), manifests, notes=notes)


def _rank(binary: Binary) -> tuple[bool, bool, bool, int, str]:
    package = binary.package
    default = string(table(package.manifest, "package").get("default-run"))
    return (
        ranks.is_auxiliary(f"{package.home}/{binary.name}"),
        package.home != ".",
        binary.name != (default or package.name),
        ranks.server_rank(binary.name),
        binary.name,
    )


def _unique(ranked: list[Binary]) -> list[Binary]:
    """Cargo writes two binaries of one name to the same path, so only the first one counts."""
    names = [binary.name for binary in ranked]
    return [binary for n, binary in enumerate(ranked) if binary.name not in names[:n]]


def _program(tree: SourceTree, binary: Binary) -> ProgramRecipe:
    member = ("-p", binary.package.name) if binary.package.home != "." else ()
    features = ("--features", ",".join(binary.features)) if binary.features else ()
    target_dir = ("--target-dir", "target") if "Cargo.toml" in tree.above else ()
    build = ("cargo", "build", "--release", *member, "--bin", binary.name, *features, *target_dir)
    artifact = f"{_target_folder(tree, bool(target_dir))}/release/{binary.name}"
    return ProgramRecipe(binary.name, build, artifact, binary.path, binary.package.name)


def _target_folder(tree: SourceTree, is_own: bool) -> str:
    settings = _settings(tree)
    target = "target" if is_own else string(settings.get("target-dir")) or "target"
    triple = string(settings.get("target"))
    return f"{target}/{triple}" if triple else target


def _settings(tree: SourceTree) -> Table:
    """Cargo prefers the file without a suffix."""
    tables = [toml(tree.text(path)) for path in reversed(CARGO_SETTINGS) if path in tree.texts]
    return table(tables[0], "build") if tables else {}


def _portability(tree: SourceTree) -> tuple[str, ...]:
    if string(_settings(tree).get("target")):
        return ()
    return (
        "build: links against the C library of this machine; for a server with an older C library, add "
        f"--target {PORTABLE} (the artifact is then below target/{PORTABLE})",
    )
