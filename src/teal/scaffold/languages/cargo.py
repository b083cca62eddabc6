"""The packages of a Cargo workspace, and the binaries that they build."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from teal.scaffold.sources.parse import Table, string, strings, table, tables, toml
from teal.scaffold.sources.tree import SourceTree


@dataclass(frozen=True)
class Package:
    home: str  # "." at the top
    name: str
    manifest: Table

    def at(self, path: str) -> str:
        return str(PurePosixPath(self.home) / path)


@dataclass(frozen=True)
class Binary:
    package: Package
    name: str
    path: str
    features: tuple[str, ...] = ()


def packages(tree: SourceTree, top: Table) -> list[Package]:
    homes = [str(PurePosixPath(path).parent) for path in tree.named("Cargo.toml")]
    members = [home for home in homes if _is_member(home, table(top, "workspace"))]
    inner = [package for home in members if (package := _package(tree, home))]
    outer = [Package(".", _name(top, tree.name), top)] if "package" in top else []
    return outer + inner


def _is_member(home: str, workspace: Table) -> bool:
    included = any(_matches(home, pattern) for pattern in strings(workspace.get("members")))
    excluded = any(_matches(home, pattern) for pattern in strings(workspace.get("exclude")))
    return home != "." and included and not excluded


def _matches(home: str, pattern: str) -> bool:
    """`*` matches one part: `crates/*` does not match `crates/web/inner`."""
    patterns, parts = PurePosixPath(pattern).parts, PurePosixPath(home).parts
    if "**" in patterns:
        return fnmatchcase(home, "/".join(patterns).replace("**/", "*"))
    return len(patterns) == len(parts) and all(map(fnmatchcase, parts, patterns))


def _package(tree: SourceTree, home: str) -> Package | None:
    manifest = toml(tree.text(f"{home}/Cargo.toml"))
    return Package(home, _name(manifest, PurePosixPath(home).name), manifest) if manifest else None


def _name(manifest: Table, default: str) -> str:
    return string(table(manifest, "package").get("name")) or default


def binaries(tree: SourceTree, package: Package) -> list[Binary]:
    """The binaries that the manifest names, then those that Cargo discovers."""
    named = [_named_binary(tree, package, entry) for entry in tables(package.manifest.get("bin"))]
    taken = {binary.name for binary in named} | {binary.path for binary in named}
    discovers = table(package.manifest, "package").get("autobins") is not False
    discovered = [binary for binary in _discovered(tree, package) if not {binary.name, binary.path} & taken]
    return named + (discovered if discovers else [])


def _named_binary(tree: SourceTree, package: Package, entry: Table) -> Binary:
    name = string(entry.get("name")) or package.name
    default_path = "src/main.rs" if name == package.name else f"src/bin/{name}.rs"
    path = package.at(string(entry.get("path")) or default_path)
    return Binary(package, name, path, strings(entry.get("required-features")))


def _discovered(tree: SourceTree, package: Package) -> Iterator[Binary]:
    if package.at("src/main.rs") in tree.paths:
        yield Binary(package, package.name, package.at("src/main.rs"))
    folder = PurePosixPath(package.at("src/bin"))
    for path in sorted(tree.paths):
        pure = PurePosixPath(path)
        if pure.parent == folder and pure.suffix == ".rs":
            yield Binary(package, pure.stem, path)
        elif pure.parent.parent == folder and pure.name == "main.rs":
            yield Binary(package, pure.parent.name, str(pure.parent))
