"""The parts of a Cargo workspace: packages and the programs they build."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from teal.scaffold.parse import Table, string, strings, table, tables, toml
from teal.scaffold.tree import Tree


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


def packages(tree: Tree, top: Table) -> list[Package]:
    homes = [str(PurePosixPath(path).parent) for path in tree.named("Cargo.toml")]
    members = [home for home in homes if _is_member(home, table(top, "workspace"))]
    below = [package for home in members if (package := _package(tree, home))]
    first = [Package(".", _name(top, tree.name), top)] if "package" in top else []
    return first + below


def _is_member(home: str, workspace: Table) -> bool:
    included = any(_matches(home, pattern) for pattern in strings(workspace.get("members")))
    excluded = any(_matches(home, pattern) for pattern in strings(workspace.get("exclude")))
    return home != "." and included and not excluded


def _matches(home: str, pattern: str) -> bool:
    """`crates/*` is not `crates/web/inner`."""
    wanted, have = PurePosixPath(pattern).parts, PurePosixPath(home).parts
    if "**" in wanted:
        return fnmatchcase(home, "/".join(wanted).replace("**/", "*"))
    return len(wanted) == len(have) and all(map(fnmatchcase, have, wanted))


def _package(tree: Tree, home: str) -> Package | None:
    manifest = toml(tree.text(f"{home}/Cargo.toml"))
    return Package(home, _name(manifest, PurePosixPath(home).name), manifest) if manifest else None


def _name(manifest: Table, otherwise: str) -> str:
    return string(table(manifest, "package").get("name")) or otherwise


def binaries(tree: Tree, package: Package) -> list[Binary]:
    """Those named in the manifest, then those that Cargo finds by itself."""
    named = [_named(tree, package, entry) for entry in tables(package.manifest.get("bin"))]
    taken = {binary.name for binary in named} | {binary.path for binary in named}
    looks = table(package.manifest, "package").get("autobins") is not False
    found = [binary for binary in _found(tree, package) if not {binary.name, binary.path} & taken]
    return named + (found if looks else [])


def _named(tree: Tree, package: Package, entry: Table) -> Binary:
    name = string(entry.get("name")) or package.name
    usual = "src/main.rs" if name == package.name else f"src/bin/{name}.rs"
    path = package.at(string(entry.get("path")) or usual)
    return Binary(package, name, path, strings(entry.get("required-features")))


def _found(tree: Tree, package: Package) -> Iterator[Binary]:
    if package.at("src/main.rs") in tree.paths:
        yield Binary(package, package.name, package.at("src/main.rs"))
    place = PurePosixPath(package.at("src/bin"))
    for path in sorted(tree.paths):
        pure = PurePosixPath(path)
        if pure.parent == place and pure.suffix == ".rs":
            yield Binary(package, pure.stem, path)
        elif pure.parent.parent == place and pure.name == "main.rs":
            yield Binary(package, pure.parent.name, str(pure.parent))
