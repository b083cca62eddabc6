"""Small sites of many compilers and runtimes, each as a folder that Teal deploys.

Each answers with its color, after it has written into its data directory and listed the machine's networks. Some are
made with a toolchain of this machine, some are what a package index ships. They are made once, then cached.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness.background import exclusive
from harness.pocketbase import NEW, pocketbase
from harness.world import REPO

_GO = """
package main

import ("fmt"; "net"; "net/http"; "os")

func main() {
	if len(os.Args) > 1 { fmt.Println("it is Go"); return }
	fmt.Println("it starts")
	http.HandleFunc("/", func(to http.ResponseWriter, _ *http.Request) {
		networks, err := net.Interfaces()
		if err == nil { err = os.WriteFile(os.Getenv("DATA_DIR")+"/kept", []byte("kept"), 0600) }
		if err != nil { http.Error(to, err.Error(), 500); return }
		fmt.Fprint(to, os.Getenv("COLOR"), " ", len(networks))
	})
	fmt.Println(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
"""
_RUST = """
use std::{env, fs, io::{Read, Write}, net::TcpListener, thread};

fn main() {
    if env::args().len() > 1 { println!("it is Rust"); return }
    println!("it starts");
    let here = format!("127.0.0.1:{}", env::var("PORT").unwrap());
    for one in TcpListener::bind(here).unwrap().incoming() {
        thread::spawn(move || {
            let (mut line, mut asked) = (one.unwrap(), [0; 4096]);
            let _ = line.read(&mut asked);
            fs::write(env::var("DATA_DIR").unwrap() + "/kept", "kept").unwrap();
            let said = env::var("COLOR").unwrap();
            let head = format!("HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: {}", said.len());
            let _ = write!(line, "{head}\\r\\n\\r\\n{said}");
        });
    }
}
"""
# A thread, WebAssembly, a watched folder, and a loop long enough for the compiler of hot code.
_SCRIPT = """
import http from "node:http";
import os from "node:os";
import fs from "node:fs";
import { Worker } from "node:worker_threads";
const { COLOR, DATA_DIR, PORT } = process.env;
const hot = (n) => { let sum = 0; for (let i = 0; i < n; i++) sum = (sum * 31 + i) | 0; return sum; };
hot(5e6);
new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]));
new Worker("setTimeout(() => {}, 1)", { eval: true });
fs.watch(DATA_DIR, () => {});
console.log("it starts");
http.createServer((asked, to) => {
  fs.writeFileSync(DATA_DIR + "/kept", "kept");
  to.end(COLOR + " " + Object.keys(os.networkInterfaces()).length + " " + hot(1e4));
}).listen(Number(PORT), "127.0.0.1");
"""
_JAVA = """
import com.sun.net.httpserver.HttpServer;
import java.net.*;
import java.nio.file.*;

public class Main {
    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(System.getenv("PORT"));
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
        server.createContext("/", asked -> {
            Files.writeString(Path.of(System.getenv("DATA_DIR"), "kept"), "kept");
            long networks = NetworkInterface.networkInterfaces().count();
            byte[] said = (System.getenv("COLOR") + " " + networks).getBytes();
            asked.sendResponseHeaders(200, said.length);
            asked.getResponseBody().write(said);
            asked.close();
        });
        System.out.println("it starts");
        server.start();
    }
}
"""
_PYTHON = """
import http.server, os, pathlib, socket, sqlite3, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        sqlite3.connect(os.environ["DATA_DIR"] + "/kept.db").execute("pragma journal_mode = wal")
        said = f"{os.environ['COLOR']} {len(socket.if_nameindex())} {sys._MEIPASS}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
    def log_message(self, *ignored):
        pass
if sys.argv[1:]:
    sys.exit(print("it is Python"))
print("it starts", flush=True)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
_DOTNET, _BUN, _DENO, _PYINSTALLER = "@azure/mcp-linux-x64@2.0.5", "@oven/bun-linux-x64@1.4.5", "2.9.6", "6.16.0"


@dataclass(frozen=True)
class Sample:
    """`make` fills a folder. `exec`: a command of the release, which writes `answer`. `path` answers `status`."""

    make: Callable[[Path], None]
    command: tuple[str, ...]
    exec: tuple[str, ...]
    answer: str
    path: str = "/"
    status: int = 200
    first_line: str = "it starts"
    env: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> dict[str, dict[str, Any]]:
        return {
            "build": {"artifact": "dist"},
            "run": {"command": list(self.command), "env": self.env, "data": True},
            "health": {"path": self.path, "status": self.status, "json": None},
            "verify": {"path": None, "json": None},
        }


def made(name: str) -> Path:
    """The folder. Skips the test where the toolchain or the package cannot be had."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "teal-tests" / f"program-{name}"
    with exclusive(f"program-{name}"):
        if not cache.exists():
            fresh = cache.with_name(f".{cache.name}")
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True)
            SAMPLES[name].make(fresh)
            fresh.rename(cache)
    return cache


def _tool(name: str) -> str:
    path = shutil.which(name) or shutil.which(name, path=str(REPO / ".venv/bin"))
    return path or pytest.skip(f"there is no {name} here")


def _called(argv: list[str], folder: Path, **env: str) -> None:
    """Skips the test where it fails: an index may not answer, or lack the package."""
    argv = [_tool(argv[0]), *argv[1:]]
    done = subprocess.run(
        argv, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=500, check=False
    )
    if done.returncode:
        pytest.skip(f"{' '.join(argv[:3])} failed: {(done.stderr.strip() or done.stdout.strip())[-300:]}")


def _go(folder: Path) -> None:
    (folder / "main.go").write_text(_GO)
    _called(["go", "build", "-o", "program", "main.go"], folder, CGO_ENABLED="0")


def _rust(folder: Path) -> None:
    (folder / "main.rs").write_text(_RUST)
    _called(["rustc", "-O", "-o", "program", "main.rs"], folder)


def _node(folder: Path) -> None:
    shutil.copy2(_tool("node"), folder / "node")
    (folder / "server.mjs").write_text(_SCRIPT)


def _npm(package: str, file: str, folder: Path) -> None:
    """One file of a package."""
    work = folder / "work"
    work.mkdir()
    _called(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", ".", package], work)
    name = package.rpartition("@")[0]
    shutil.copy2(work / "node_modules" / name / file, folder)
    shutil.rmtree(work)


def _bun(folder: Path) -> None:
    """The script and its runtime in one file."""
    _npm(_BUN, "bin/bun", folder)
    (folder / "server.mjs").write_text(_SCRIPT)
    _called([str(folder / "bun"), "build", "--compile", "server.mjs", "--outfile", "program"], folder)
    (folder / "bun").unlink()


def _deno(folder: Path) -> None:
    _npm(f"@deno/linux-x64-glibc@{_DENO}", "deno", folder)
    (folder / "server.mjs").write_text(_SCRIPT)


def _dotnet(folder: Path) -> None:
    """A program of somebody else: Kestrel, in one file with its runtime, which unpacks its libraries below HOME."""
    _npm(_DOTNET, "dist/azmcp", folder)


def _java(folder: Path) -> None:
    """With a runtime of its own."""
    (folder / "Main.java").write_text(_JAVA)
    _called(["javac", "Main.java"], folder)
    modules = "java.base,jdk.httpserver"
    _called(["jlink", "--add-modules", modules, "--no-man-pages", "--no-header-files", "--output", "jre"], folder)
    shutil.rmtree(folder / "jre/legal")


def _pyinstaller(folder: Path) -> None:
    """One file, which unpacks Python below /tmp at each start and runs it there."""
    work = folder / "work"
    _called([sys.executable, "-m", "venv", str(work)], folder)
    python = str(work / "bin/python")
    _called([python, "-m", "pip", "install", "--disable-pip-version-check", f"pyinstaller=={_PYINSTALLER}"], folder)
    (work / "program.py").write_text(_PYTHON)
    _called([python, "-m", "PyInstaller", "--onefile", "--distpath", str(folder), "program.py"], work)
    shutil.rmtree(work)


def _pocketbase(folder: Path) -> None:
    shutil.copy2(pocketbase(NEW), folder / "pocketbase")


_SERVER = ("server", "start", "--transport", "http", "--dangerously-disable-http-incoming-auth")
SAMPLES = {
    "go": Sample(_go, ("./program",), ("./program", "-"), "it is Go"),
    "rust": Sample(_rust, ("./program",), ("./program", "-"), "it is Rust"),
    "node": Sample(_node, ("./node", "server.mjs"), ("./node", "-p", "'it is ' + 'Node'"), "it is Node"),
    "bun": Sample(_bun, ("./program",), ("sh", "-c", "echo 'it is Bun'"), "it is Bun"),
    "deno": Sample(
        _deno, ("./deno", "run", "-A", "server.mjs"), ("./deno", "eval", "console.log('it', 'is')"), "it is"
    ),
    "java": Sample(_java, ("./jre/bin/java", "Main"), ("./jre/bin/java", "--version"), "OpenJDK"),
    "pyinstaller": Sample(_pyinstaller, ("./program",), ("./program", "-"), "it is Python"),
    "pocketbase": Sample(
        _pocketbase,
        ("./pocketbase", "serve", "--http", "127.0.0.1:{port}", "--dir", "{data_dir}/db"),
        ("./pocketbase", "--version"),
        "pocketbase version",
        "/api/health",
        first_line="Server started",
    ),
    "dotnet": Sample(
        _dotnet,
        ("sh", "-c", f"ASPNETCORE_URLS=http://127.0.0.1:$PORT exec ./azmcp {' '.join(_SERVER)}"),
        ("./azmcp", "--version"),
        "2.0.5",
        "/health",
        404,
        "Now listening on",
        {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1", "AZURE_MCP_COLLECT_TELEMETRY": "false"},
    ),
}
