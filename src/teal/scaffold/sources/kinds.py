"""The kinds of files that `teal init` reads, and in which order."""

from pathlib import PurePosixPath

C = (".c", ".h", ".cc", ".cpp", ".cxx", ".hpp")
DOTNET = (".cs", ".fs", ".vb")
JAVASCRIPT = (".ts", ".tsx", ".js", ".mjs")
SOURCE_SUFFIXES = (".go", ".rs", ".zig", ".cr", ".nim", ".d", ".swift", ".hs", ".ml", *C, *DOTNET, *JAVASCRIPT)

MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
MANIFESTS = (
    *("go.mod", "Cargo.toml", "build.zig", "build.zig.zon", "shard.yml", "dub.json", "dub.sdl", "Package.swift"),
    *("dune", "dune-project", "CMakeLists.txt", *MAKEFILES, "deno.json", "deno.jsonc", "package.json"),
)
MANIFEST_SUFFIXES = (".nimble", ".cabal", ".csproj", ".fsproj", ".vbproj")

ENTRY_STEMS = ("main", "server", "app", "index", "Program")


def is_manifest(path: str) -> bool:
    pure = PurePosixPath(path)
    return pure.name in MANIFESTS or pure.suffix in MANIFEST_SUFFIXES


def is_text(path: str) -> bool:
    return is_manifest(path) or PurePosixPath(path).suffix in SOURCE_SUFFIXES


def depth(path: str) -> tuple[int, str]:
    return path.count("/"), path


def read_order(path: str) -> tuple[bool, bool, int, str]:
    """Manifests at the top come first, then all other manifests and entry points, then the rest."""
    manifest = is_manifest(path)
    entry_point = PurePosixPath(path).stem in ENTRY_STEMS
    return not (manifest and "/" not in path), not (manifest or entry_point), *depth(path)
