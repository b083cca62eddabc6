"""`teal init`: the project that it detects in a directory, and the teal.toml that it writes."""

import os
import re
import shlex
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from teal.scaffold import Project, UnknownProgramError, detect, flags, program_names, render
from teal.scaffold.languages import javascript, nim

DIRECTORY = "My.Project"
MAIN = "package main\n\nfunc main() {\n"
RUST = "fn main() {}\n"
MOD = "module example.com/team/shop\n\ngo 1.24\n"
CARGO = '[package]\nname = "shop"\nversion = "0.1.0"\n'
GO = "go build -trimpath '-ldflags=-s -w' -o dist/app"
RUSTC = "cargo build --release"
BUN = "bun build --compile --target=bun-linux-x64 --outfile dist/app"
CROSS = (("GOOS", "linux"), ("GOARCH", "{goarch}"))
STATIC = (*CROSS, ("CGO_ENABLED", "0"))
WEB = '<Project Sdk="Microsoft.NET.Sdk.Web">'
MUSL = "[build]\ntarget = 'x86_64-unknown-linux-musl'\ntarget-dir = 'out'"
ELF = "\x7fELF"
PORT, COLOR = "--port {port}", "--color {color}"
ODD = 'quo"te\\back\nline\ttab\x00\x7f\x85é漢😀$app ${x} $$ {port} # end'
SECTIONS = {
    "build": {"command", "env", "artifact"},
    "server": {"target", "domains", "http_port"},
    "run": {"command", "ports", "env", "data"},
    "health": {"path", "status", "json", "deadline_s", "successes"},
    "verify": {"path", "json"},
    "keep": {"releases", "previous_running", "watch_s", "drain_s", "fallback"},
    "proxy": {"max_body_mb", "read_timeout_s", "directives"},
    "sandbox": {"writable", "memory_mb"},
}


@dataclass(frozen=True)
class Case:
    files: Mapping[str, str]
    programs: tuple[str, ...]
    note: str
    expected: Mapping[str, object]


def case(files: Mapping[str, str], names: str = "", note: str = "", /, **expected: object) -> Case:
    return Case(files, tuple(names.split()), note, expected)


def go(body: str = "", *, mod: str = MOD) -> dict[str, str]:
    return {"go.mod": mod, "main.go": MAIN + body}


def rust(source: str = RUST, *, cargo: str = CARGO) -> dict[str, str]:
    return {"Cargo.toml": cargo, "src/main.rs": source}


def copies(folders: str, file: str, text: str) -> dict[str, str]:
    return {f"{folder}/{file}": text for folder in folders.split()}


FLAGS = 'flag.Int("port", 80, "")\nflag.StringVar(&c, "color", "blue", "")\n'
MANY = copies("cmd/shop cmd/a cmd/web tools/x y", "a.go", MAIN) | {"go.mod": MOD}
ASIDE = copies("vendor/v testdata _old .hidden inner/cmd good", "a.go", MAIN) | {"inner/go.mod": MOD}
ASIDE |= {"go.mod": MOD, "a_test.go": MAIN, "gen.go": f"//go:build ignore\n\n{MAIN}"}
IMPORT_C = {"go.mod": MOD, "main.go": 'package main\nimport "C"\nfunc main() {}'}
POCKETBASE = {"go.mod": MOD + 'require "github.com/pocketbase/pocketbase" v0', "main.go": MAIN}
INDIRECT = MOD + "require (\n\tgithub.com/mattn/go-sqlite3 v1 // indirect\n)"
BINS = {"src/bin/one.rs": 'long = "port"', "src/bin/two/main.rs": RUST}
MEMBERS = {f"crates/{name}/Cargo.toml": f"package.name = '{name}'" for name in ("web", "cli", "old")}
MEMBERS |= copies("xtask crates/web crates/old crates/cli crates/cli/deep", "src/main.rs", RUST)
GLOB = "[workspace]\nmembers = ['crates/*', 'xtask']\nexclude = ['crates/old']\n"
FEATURES = "[[bin]]\nname = 'api'\npath = 'a.rs'\nrequired-features = ['tls', 'db']\n"
SHARD = "name: shop\ntargets:\n  web:\n    main: src/web.cr\n"
CMAKE = "project(shop CXX)\nadd_executable(${PROJECT_NAME} a.cpp)"
SWIFT = 'Package(name: "Shop", targets: [.executableTarget(name: "App")])'
TASKS = '{\n// why\n"tasks": {"start": "deno run -A a.ts"},\n}'

CASES = {
    "go, top": case(go(FLAGS), ".", build=f"{GO} .", build_env=STATIC, command=f"./app {PORT} {COLOR}"),
    "go, a unix socket by a flag": case(
        go(FLAGS + 'flag.String("socket", "", "")\nl, err := net.Listen("unix", *s)'),
        ".",
        "the sources define --socket",
        command=f"./app --socket {{socket}} {COLOR}",
    ),
    "go, a unix socket by SOCKET": case(
        go('l, err := net.Listen("unix", os.Getenv("SOCKET"))'),
        ".",
        "that it reads from SOCKET",
        command="./app {socket}",
    ),
    "go, the socket of a database": case(
        go(FLAGS + 'flag.String("socket", "/run/mysqld/mysqld.sock", "")'), ".", command=f"./app {PORT} {COLOR}"
    ),
    "go, a client of a unix socket": case(
        go(FLAGS + 'flag.String("socket", "", "")\nsyscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)'),
        ".",
        command=f"./app {PORT} {COLOR}",
    ),
    "bun, a unix socket": case(
        {"package.json": "{}", "bun.lock": "", "index.ts": "Bun.serve({ unix: process.env.SOCKET, fetch })"},
        "index.ts",
        "that it reads from SOCKET",
        command="./app {socket}",
    ),
    "go, cmd": case({"go.mod": MOD, "cmd/main.go": MAIN}, "cmd", build=f"{GO} ./cmd", artifact="dist/app"),
    "go, many": case(
        MANY, "cmd/shop cmd/web cmd/a y tools/x", "cmd/shop; the directory also has", build=f"{GO} ./cmd/shop"
    ),
    "go, folders without a program": case(ASIDE, "good", build=f"{GO} ./good"),
    "go, v2": case(go(mod='module "example.com/Big_Shop/v2"'), ".", "app: big-shop", app="big-shop"),
    "go, gopkg.in": case(go(mod="module gopkg.in/shop.v3 // x"), ".", app="shop"),
    "go, broken go.mod": case(go(mod="\x00modul?"), ".", "the file has no module line", app="my-project"),
    "go, no go.mod": case({"main.go": MAIN}, ".", "run go mod init", language="Go", build=f"{GO} ."),
    "go, a library": case({"go.mod": MOD, "a.go": "package shop"}, "", "no Go program", app="shop", build=""),
    "go, import C": case(IMPORT_C, ".", 'build: import "C" needs cgo', build_env=CROSS),
    "go, cgo sqlite": case(
        go(mod=f"{MOD}require github.com/mattn/go-sqlite3 v1"), ".", "needs cgo", build_env=CROSS, data=True
    ),
    "go, others' sqlite": case(go(mod=INDIRECT), ".", build_env=STATIC, data=False),
    "go, DATA_DIR": case(go('os.Getenv("DATA_DIR")'), ".", "data: ", build_env=STATIC, data=True),
    "go, cobra": case(go('cmd.Flags().IntP("port", "p", 1, "")'), ".", command=f"./app {PORT}"),
    "go, mux of 1.22": case(go('mux.HandleFunc("GET /livez", ok)'), ".", health_path="/livez"),
    "go, PORT": case(go('os.Getenv("PORT"), slog.Int("port", 1)'), ".", "the port from PORT", command="./app"),
    "go, addr": case(go('flag.String("addr", ":80", "")'), ".", command="./app --addr {host}:{port}"),
    "go, verify": case(go(f'{FLAGS} "/status" `json:"color"`'), ".", verify_path="/status", health_path="/"),
    "go, only tests": case(go() | {"a_test.go": f'"/healthz" {FLAGS}'}, ".", command="./app", health_path="/"),
    "go, pocketbase": case(
        POCKETBASE,
        ".",
        command="./app serve --http {host}:{port} --dir {data_dir}",
        health_path="/api/health",
    ),
    "rust": case(rust(), "shop", "linux-musl", build=f"{RUSTC} --bin shop", artifact="target/release/shop"),
    "rust, derive": case(rust("#[arg(short, long)]\n  port: u16,"), "shop", command=f"./shop {PORT}"),
    "rust, terminal": case(rust('.long("port")\n .long("color").p(["auto"])'), "shop", command=f"./shop {PORT}"),
    "rust, bins": case({"Cargo.toml": CARGO, **BINS}, "one two", app="shop", command=f"./one {PORT}"),
    "rust, default-run": case({"Cargo.toml": f"{CARGO}default-run = 'two'", **BINS}, "two one", command="./two"),
    "rust, features": case(
        {"Cargo.toml": CARGO + FEATURES, "a.rs": ""}, "api", build=f"{RUSTC} --bin api --features tls,db"
    ),
    "rust, workspace": case(
        {"Cargo.toml": GLOB, "xtask/Cargo.toml": CARGO} | MEMBERS,
        "web cli shop",
        build=f"{RUSTC} -p web --bin web",
    ),
    "rust, settings": case(
        rust() | {".cargo/config.toml": MUSL}, "shop", artifact="out/x86_64-unknown-linux-musl/release/shop"
    ),
    "rust, broken": case(rust(cargo="[package\nname=="), DIRECTORY, "teal init could not read it", app="my-project"),
    "rust, odd shapes": case(rust(cargo="package = 3\nbin = ['x', 2]\nworkspace = []"), DIRECTORY),
    "zig": case({"build.zig": 'b.addExecutable(.{ .name = "web" })'}, "web", artifact="zig-out/bin/web"),
    "zig, zon": case({"build.zig": "", "build.zig.zon": '.{ .name = .@"a-shop" }'}, "a-shop", app="a-shop"),
    "crystal": case({"shard.yml": SHARD, "src/web.cr": "Kemal.run"}, "web", command=f"./web --bind {{host}} {PORT}"),
    "nim": case({"shop.nimble": 'bin = @["web"]\nbinDir = "out"'}, "web", app="shop", artifact="out/web"),
    "d": case({"dub.json": '{"name": "shop", "targetPath": "bin",}'}, "shop", artifact="bin/shop"),
    "d, sdl": case({"dub.sdl": 'name "shop"\ntargetName "web"'}, "shop", artifact="web", language="D"),
    "swift": case({"Package.swift": SWIFT}, "App", app="shop", artifact=".build/release/App"),
    ".net": case(
        {"src/My.Shop.csproj": WEB, "tests/T.csproj": f"{WEB}Microsoft.NET.Test.Sdk"},
        "My.Shop",
        "--urls",
        app="my-shop",
        artifact="dist/app",
        command="./My.Shop --urls http://{host}:{port}",
    ),
    "haskell": case({"shop.cabal": "executable web\n"}, "web", app="shop", artifact="dist/web"),
    "ocaml": case({"dune-project": "", "bin/dune": "(executable (name a))"}, "bin/a", command="./a.exe"),
    "cmake": case({"CMakeLists.txt": CMAKE, "a.cpp": "--port"}, "shop", language="C++", artifact="build/shop"),
    "make": case({"Makefile": "CC = cc\nall: web\n", "a.c": ""}, "web", "please check", build="make", language="C"),
    "deno": case({"deno.jsonc": TASKS, "a.ts": ""}, "a.ts", language="Deno", artifact="dist/app"),
    "bun": case({"package.json": '{"name": "@a/shop"}', "bun.lock": "", "app.ts": ""}, "app.ts", app="shop"),
    "bun, broken": case({"package.json": "{", "bun.lock": "", "app.ts": ""}, "app.ts", build=f"{BUN} app.ts"),
    "node": case({"package.json": "{}", "app.js": ""}, "", "fill in", language=""),
    "built": case({"bin/web": ELF, "bin/a.so": ELF, "bin/x.sh": "#!"}, "web", artifact="bin/web", build=""),
    "several built": case({"bin/a": ELF, "dist/b": ELF}, "", "dist/b, bin/a", artifact="dist/app"),
    "nothing": case({}, "", "fill in", app="my-project", language="", artifact="dist/app", command="./app"),
    "one level too high": case({"a/go.mod": MOD, "b/package.json": ""}, "", "a project of this directory: a, b"),
}


def beside(manifest: str, source: str) -> Callable[[str], dict[str, str]]:
    return lambda text: {manifest: "{}" if manifest.endswith(".json") else "", source: text}


# Of each language that init knows: a file beside the manifest that listens on SOCKET, and one that is a client of it.
SOCKETS: dict[str, tuple[Callable[[str], dict[str, str]], str, str]] = {
    "go, a context": (
        go,
        'lc.Listen(ctx, "unix", os.Getenv("SOCKET"))',
        'd.DialContext(ctx, "unix", os.Getenv("SOCKET"))',
    ),
    "go, a call": (go, 'lc.Listen(r.Context(), "unix", os.Getenv("SOCKET"))', 'net.Dial("unix", os.Getenv("SOCKET"))'),
    "go, an address": (go, 'net.ListenUnix("unix", at("SOCKET"))', 'net.DialUnix("unix", nil, at("SOCKET"))'),
    "rust": (rust, 'UnixListener::bind(env::var("SOCKET")?)', 'UnixStream::connect(env::var("SOCKET")?)'),
    "zig": (
        beside("build.zig", "main.zig"),
        'initUnix(env.get("SOCKET").?);\nvar s = try a.listen(.{});',
        'connectUnixSocket(get("SOCKET"))',
    ),
    "crystal": (beside("shard.yml", "src/a.cr"), 'server.bind_unix ENV["SOCKET"]', 'UNIXSocket.new(ENV["SOCKET"])'),
    "nim": (beside("a.nimble", "a.nim"), 's.bindUnix(getEnv("SOCKET"))', 's.connectUnix(getEnv("SOCKET"))'),
    "d": (
        beside("dub.json", "source/a.d"),
        's.bind(new UnixAddress(get("SOCKET")));',
        's.connect(new UnixAddress(get("SOCKET")));',
    ),
    "swift": (
        beside("Package.swift", "Sources/a.swift"),
        'bind(unixDomainSocketPath: env["SOCKET"]!)',
        'connect(unixDomainSocketPath: env["SOCKET"]!)',
    ),
    "c#": (
        beside("a.csproj", "a.cs"),
        'o.ListenUnixSocket(Env("SOCKET"))',
        'new UnixDomainSocketEndPoint(Env("SOCKET"))',
    ),
    "haskell": (
        beside("a.cabal", "a.hs"),
        'bind s (SockAddrUnix p) where p = "SOCKET"',
        'connect s (SockAddrUnix p) where p = "SOCKET"',
    ),
    "ocaml": (
        beside("dune-project", "a.ml"),
        'Unix.bind s (ADDR_UNIX (getenv "SOCKET"))',
        'Unix.connect s (ADDR_UNIX (getenv "SOCKET"))',
    ),
    "deno": (
        beside("deno.json", "main.ts"),
        'Deno.serve({ path: Deno.env.get("SOCKET") }, f)',
        'Deno.connect({ path: Deno.env.get("SOCKET") })',
    ),
    "bun": (
        beside("bun.lock", "index.ts"),
        "Bun.serve({ unix: process.env.SOCKET, fetch })",
        "connect(process.env.SOCKET)",
    ),
    "bun, node's http": (
        beside("bun.lock", "index.ts"),
        "server.listen({ path: process.env.SOCKET })",
        "net.connect(process.env.SOCKET)",
    ),
    "c": (
        beside("Makefile", "a.c"),
        'f = AF_UNIX; p = getenv("SOCKET"); bind(s, a, l);',
        'f = AF_UNIX; p = getenv("SOCKET"); connect(s);',
    ),
}
LISTENS_ON_SOCKET = {
    "asp.net": ({"a.csproj": WEB, "a.cs": "o.ListenUnixSocket(path)"}, ("--urls", "http://unix:{socket}")),
    "kemal": ({"shard.yml": SHARD, "src/web.cr": "Kemal.run do\n s.bind_unix path"}, ("{socket}",)),
    "vapor": (
        {"Package.swift": SWIFT, "Sources/a.swift": "import Vapor\n.unixDomainSocket(path: p)"},
        ("serve", "--unix-socket", "{socket}"),
    ),
}


def write_files(directory: Path, files: Mapping[str, str]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        path.chmod(0o755 if text == ELF else 0o644)
    return directory


def argv(text: object) -> object:
    return tuple(shlex.split(text)) if isinstance(text, str) else text


def is_known(table: Mapping[str, Any]) -> bool:
    sections = {name: set(inner) for name, inner in table.items() if name != "app"}
    return all(keys <= SECTIONS.get(name, set()) for name, keys in sections.items())


@pytest.mark.parametrize("name", CASES)
def test_scaffold_detects_the_project_in_a_directory(tmp_path: Path, name: str) -> None:
    example = CASES[name]
    directory = write_files(tmp_path / DIRECTORY, example.files)
    project = detect(directory)
    commands = {key: argv(value) for key, value in example.expected.items() if key in {"build", "command"}}
    assert {key: getattr(project, key) for key in example.expected} == {**example.expected, **commands}
    assert program_names(directory) == example.programs
    assert example.note in "\n".join(project.notes)
    assert all(note.isprintable() for note in project.notes)


@pytest.mark.parametrize("name", CASES)
def test_scaffold_writes_a_teal_toml_that_matches_the_project(tmp_path: Path, name: str) -> None:
    project = detect(write_files(tmp_path / DIRECTORY, CASES[name].files))
    written = tomllib.loads(render(project))
    assert written["app"] == project.app
    assert tuple(written["build"].get("command", ())) == project.build
    assert tuple(written["build"].get("env", {}).items()) == project.build_env
    assert written["build"]["artifact"] == project.artifact
    assert tuple(written["run"]["command"]) == project.command
    assert written["run"].get("data", False) == project.data
    assert written["health"] == {"path": project.health_path}
    assert written["verify"].get("path", "") == project.verify_path
    assert written["server"] == {"target": "local"}
    assert set(written) == {"app", *SECTIONS}
    assert is_known(written)


@pytest.mark.parametrize("name", SOCKETS)
def test_scaffold_gives_a_socket_to_a_program_that_listens_on_one_and_not_to_its_client(
    tmp_path: Path, name: str
) -> None:
    tree, *texts = SOCKETS[name]
    for folder, text in zip(("listener", "client"), texts, strict=True):
        project = detect(write_files(tmp_path / folder, tree(text)))
        assert ("{socket}" in project.command) == (folder == "listener"), text
        assert ("that it reads from SOCKET" in "\n".join(project.notes)) == (folder == "listener"), text


@pytest.mark.parametrize("name", LISTENS_ON_SOCKET)
def test_scaffold_gives_a_framework_the_socket_on_which_its_program_listens(tmp_path: Path, name: str) -> None:
    files, arguments = LISTENS_ON_SOCKET[name]
    assert detect(write_files(tmp_path, files)).command[1:] == arguments


def test_scaffold_writes_odd_text_that_toml_reads_back() -> None:
    project = Project(ODD, "", (ODD, "x" * 120), ((ODD, ODD), ("A_b-1", "")), ODD, (ODD,), ODD, ODD, True, (ODD,))
    written = tomllib.loads(render(project))
    assert written["app"] == written["health"]["path"] == written["verify"]["path"] == ODD
    assert written["build"] == {"command": [ODD, "x" * 120], "env": {ODD: ODD, "A_b-1": ""}, "artifact": ODD}
    assert tomllib.loads(render(replace(project, app="half \udcff"))) == {**written, "app": "half \ufffd"}


def test_scaffold_writes_every_known_key_with_a_value_also_in_its_comments(tmp_path: Path) -> None:
    text = render(detect(tmp_path))
    section, keys = "", []
    for line in text.splitlines():
        section = line.strip("[]") if line.startswith("[") else section
        if re.match(r"(# )?\w+ = ", line):
            inner = tomllib.loads(line.removeprefix("# "))
            assert not section or is_known({section: inner}), line
            keys += [(section, key) for key in inner]
    assert {*keys} == {("", "app"), *((name, key) for name, inner in SECTIONS.items() for key in inner)}
    assert '# target = "ssh://root@203.0.113.10"' in text
    assert max(map(len, text.splitlines())) <= 110


@pytest.mark.parametrize(
    ("directory", "app"),
    [
        ("Müller & Söhne", "muller-sohne"),
        ("42", "app-42"),
        ("漢字", "app"),
        ("-a_-b-", "a-b"),
        ("a" * 30 + "-b", "a" * 30),
    ],
)
def test_app_name_is_derived_from_any_directory_name(tmp_path: Path, directory: str, app: str) -> None:
    assert detect(write_files(tmp_path / directory, {})).app == app


@pytest.mark.parametrize("name", ["cmd/web", "./cmd/web/", "web"])
def test_detect_takes_the_named_program_when_the_project_has_several(tmp_path: Path, name: str) -> None:
    files = {"go.mod": MOD, "cmd/web/a.go": MAIN, "cmd/tool/a.go": MAIN + FLAGS, "lib/a.go": '"/ping"'}
    project = detect(write_files(tmp_path, files), name)
    assert project.build[-1] == "./cmd/web"
    assert project.command == ("./app",), "the flags belong to the other program"
    assert project.health_path == "/ping"
    assert program_names(tmp_path) == ("cmd/web", "cmd/tool")


def test_unknown_program_is_rejected_with_a_list_of_the_known_programs(tmp_path: Path) -> None:
    with pytest.raises(UnknownProgramError, match=r"cmd/shop, cmd/web") as raised:
        detect(write_files(tmp_path, MANY), "nope")
    assert raised.value.known[0] == "cmd/shop"


def test_workspace_member_builds_into_its_own_directory(tmp_path: Path) -> None:
    write_files(tmp_path, {"Cargo.toml": GLOB, ".git/HEAD": "", "go.mod": MOD, "go/cmd/a.go": MAIN})
    web = detect(write_files(tmp_path / "crates/web", rust()))
    assert web.build[-2:] == ("--target-dir", "target")
    assert detect(tmp_path / "go").build[-1] == "./cmd"


def test_project_detection_is_bounded_and_never_stuck(tmp_path: Path) -> None:
    write_files(tmp_path, go() | {f"deep/{n}.go": FLAGS for n in range(500)} | {"big.go": "/" * 3_000_000})
    os.mkfifo(tmp_path / "pipe.go")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.go").symlink_to("nowhere.go")
    (tmp_path / "bytes.go").write_bytes(b"\xff\xfe\x00")
    project = detect(tmp_path)
    assert project.build[-1] == "."
    assert "sources: only the first 400 files and 2 MB were read" in project.notes


@pytest.mark.parametrize(
    ("read", "piece"),
    [
        (lambda text: flags.defines([f"port long{text}"], "port"), " "),
        (javascript.DENO_SCRIPT.findall, "A"),
        (nim.BIN.findall, "bin = @[\n"),
    ],
    ids=["flags", "deno", "nim"],
)
def test_detection_takes_time_in_proportion_to_a_strangers_text(read: Callable[[str], object], piece: str) -> None:
    """In the tree of 768eec4 a source of 256 kB kept `teal init` busy for minutes."""

    def seconds(times: int) -> float:
        began = time.process_time()
        read(piece * times)
        return time.process_time() - began

    assert seconds(40_000) < 24 * min(seconds(5_000) for _ in range(3)) + 0.3
