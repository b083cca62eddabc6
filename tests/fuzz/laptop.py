"""What a client reads: teal.toml, manifests of strangers, words before a greeting, ssh, git, keys, its caches."""

import json
import os
from pathlib import Path
from unittest import mock

from hypothesis import strategies as st

from fuzz.engine import Target, corpus
from fuzz.messages import SERVER, file_of
from fuzz.mutation import mutated
from teal.building import known_machines, origin
from teal.config import read
from teal.ground import run
from teal.ground.errors import ConfigError
from teal.ground.visitor import _Visitor
from teal.pipe.greeting import TransportExit, explain_silence, read_preamble
from teal.scaffold.detect import detect
from teal.scaffold.sources import parse
from teal.sending import cache
from teal.stories.setup import read_key
from teal.transports import multipass, ssh
from teal.transports.ssh_files import SshFiles
from teal_host.wire import typed, upward
from teal_host.wire.manifest import Origin
from teal_host.wire.reports import Entrance


def toml(data: bytes, folder: Path) -> object:
    (folder / "teal.toml").write_bytes(data)
    return read.load(folder / "teal.toml").config


def foreign(data: bytes, folder: Path) -> object:
    text = data.decode(errors="replace")
    return [list(parse.toml(text) or ()), list(parse.jsonc(text) or ()), parse.quoted(text)]


def preamble(data: bytes, folder: Path) -> object:
    with open(file_of(data), "rb", buffering=0) as raw:
        before = read_preamble(raw, lambda: None, 5.0)
    error = explain_silence(SERVER, before, TransportExit(None))
    return [error.message, error.evidence, error.hint]


def ssh_words(data: bytes, folder: Path) -> object:
    """The last lines of ssh, and what `ssh -G` prints."""
    text, host = data.decode(errors="replace"), ssh.Destination("server")
    with mock.patch.object(run, "read_output", lambda *_: text):
        errors = [ssh.explain(host, SshFiles(), 255, text.split("\n")), multipass.explain("vm", text.split("\n"))]
    return [[error.message, error.evidence, error.hint] for error in errors if error]


def git(data: bytes, folder: Path) -> object:
    with mock.patch.object(run, "read_output", lambda *_: data.decode(errors="replace").strip()):
        return typed.decode(Origin, typed.encode(origin.origin(folder)))


def key(data: bytes, folder: Path) -> object:
    (folder / "key.pub").write_bytes(data)
    return read_key(folder / "key.pub")


def remembered(data: bytes, folder: Path) -> object:
    """The client's own caches, which anybody may have damaged."""
    with mock.patch.dict(os.environ, XDG_CACHE_HOME=str(folder)):
        for path in (cache._last("t", "a"), cache.folder() / "speeds.json", known_machines._path("t")):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return [cache.last("t", "a"), cache.speed("t"), known_machines.recall("t")]


def url(data: bytes, folder: Path) -> object:
    """Whatever has the form of a URL can be visited."""
    text = data.decode(errors="replace")
    if text and upward.url(text) is None:
        _Visitor(Entrance(text), 0.0)
    return [upward.address(text), upward.moment(text), json.dumps(text)]


def project(data: bytes, folder: Path) -> object:
    """What `teal init` makes of a stranger's project: the first byte says which file these bytes are."""
    tree = {SOURCES[data[0] % len(SOURCES)] if data else "app.go": data[1:], "main.go": data[1:], "x.c": data[1:]}
    home = folder / "project"
    for path in home.glob("*"):
        path.unlink()
    home.mkdir(exist_ok=True)
    for name, text in tree.items():
        (home / name).write_bytes(text)
    return detect(home)


SOURCES = [
    *("go.mod", "Cargo.toml", "build.zig", "shard.yml", "app.nimble", "dub.json", "dub.sdl", "Package.swift"),
    *("app.csproj", "app.cabal", "dune-project", "deno.json", "package.json", "CMakeLists.txt", "Makefile"),
]
PROJECTS = [
    *(
        b"module example.com/app\n\nrequire github.com/mattn/go-sqlite3 v1 // indirect\n",
        b"name: app\ntargets:\n  a:\n    main: b\n",
    ),
    *(b'[package]\nname = "app"\n[[bin]]\nname = "b"\npath = "src/b.rs"\n', b'bin = @["a", "b"]\nbinDir = "x"\n'),
    *(b'package main\nfunc main() { flag.Int("port", 1, "") }\n#[arg(long)] pub port: u16\nlong ( "port"\n',),
    *(
        b'{"tasks": {"start": "deno run -A main.ts"}, "name": "a", "main": "x.js"}',
        b'name "a"\ntargetType "executable"\n',
    ),
    *(b'Package(name: "a", targets: [.executableTarget(name: "b")])', b"<OutputType>Exe</OutputType><AssemblyName>a<"),
    *(
        b"project(a C)\nadd_executable(${PROJECT_NAME} x.c)\n",
        b"TARGET := app\nall: app\n",
        b"executable a\n(name a)\n",
    ),
]
CONFIGS = mutated(corpus("teal-toml"))
LINES = st.lists(mutated(corpus("ssh"), 1), max_size=3).map(b"\n".join)
TARGETS = [
    Target("teal-toml", toml, CONFIGS, (ConfigError,)),
    Target("foreign", foreign, mutated(corpus("foreign"))),
    Target(
        "project",
        project,
        mutated(st.builds(bytes.__add__, st.binary(min_size=1, max_size=1), st.sampled_from(PROJECTS))),
    ),
    Target("preamble", preamble, mutated(corpus("preamble"))),
    Target("ssh", ssh_words, mutated(LINES)),
    Target("git", git, mutated(corpus("git"))),
    Target("key", key, mutated(corpus("key")), (ConfigError,)),
    Target("remembered", remembered, mutated(corpus("remembered"))),
    Target("url", url, mutated(corpus("url"), 2)),
]
