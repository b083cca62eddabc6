"""`teal destroy` asks for the name, says how much goes, and can keep the data."""

import re
import sys

from harness.terminal import Terminal
from harness.world import App


def ask(app: App, *arguments: str, answer: str) -> tuple[int, str]:
    terminal = Terminal([sys.executable, "-m", "teal", "destroy", *arguments], str(app.directory), app.world.env)
    terminal.wait_for("to remove it")
    terminal.type(f"{answer}\n")
    return terminal.ended(), terminal.seen


def test_destroy_asks_for_the_name_and_says_how_much_goes(app: App) -> None:
    app.config(run={"data": True})
    app.deploy().ok()
    app.get("/write")
    code, seen = ask(app, answer="shp")
    assert (code, "shp is not shop: nothing was changed" in seen) == (2, True)
    assert re.search(r"This removes shop, with 1 release and 3 bytes of data in \S+, from this machine\.", seen)
    assert ask(app, answer="")[0] == 130
    unasked = app.teal("destroy")
    assert (unasked.code, "from this machine? There is no terminal to ask on" in unasked.err) == (2, True)
    assert app.get()["version"] == "v1"
    code, seen = ask(app, answer="shop")
    assert (code, "shop is gone" in seen) == (0, True)
    assert not app.world.root.exists()


def test_destroyed_app_finds_its_data_again_when_it_was_kept(app: App) -> None:
    app.config(run={"data": True})
    app.deploy().ok()
    app.get("/write")
    gone = app.teal("destroy", "--yes", "--keep-data").ok()
    assert "its data stays in" in gone.out
    app.deploy().ok()
    app.get("/write")
    (data,) = (app.world.root / "var/lib/shop").glob("kept")
    assert data.read_text() == "v1\nv1\n"
