"""The load proves itself: it reports no loss where nothing happens, and every loss of a reload or a restart."""

import os
import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from bench.load import backend
from bench.load.kinds import BUSY, LONG
from bench.load.place import Place
from bench.load.running import Load, Seen, load

from harness.background import children
from harness.load_app import load_place, loaded_app
from harness.world import App, World, free_ports, wait_until

QUICK = {kind.name for kind, _ in BUSY}
KINDS = QUICK | {kind.name for kind in LONG}


@dataclass
class Loaded:
    app: App
    place: Place
    out: Path

    @contextmanager
    def load(self, only: Collection[str] = ()) -> Iterator[Load]:
        with load(self.place, self.out, only=sorted(only)) as running:
            yield running
        self.running = running

    def seen(self) -> Seen:
        """What the clients have seen. Call this after the block."""
        return self.running.seen(self.app.world.root / "var/lib/load")


@pytest.fixture
def loaded(world: World, tmp_path: Path) -> Loaded:
    """A live app on an nginx that does not spare idle connections at a reload, like the nginx of most servers."""
    if reason := backend.why_not():
        pytest.skip(reason)
    certificate, key = backend.certificate(tmp_path)
    (port,) = free_ports(1)
    app = loaded_app(world, (port, str(certificate), str(key)))
    app.deploy().ok()
    conf = app.world.root / "etc/nginx/nginx.conf"
    conf.write_text(conf.read_text().replace("keepalive_min_timeout 10s;", ""))
    _reload(app)
    return Loaded(app, load_place(app, port, certificate), tmp_path / "out")


def test_load_loses_nothing_while_nothing_happens(loaded: Loaded) -> None:
    with loaded.load() as running:
        running.more(3)
    seen = loaded.seen()
    assert seen.verdict.clean, seen
    assert set(seen.by_kind) == KINDS
    assert (seen.failed.total(), seen.by_color.total()) == (0, seen.verdict.requests)
    assert len(seen.took) > 20
    loaded.app.get_raw("/quick?size=1&id=out0x00000000")  # a client has already sent this id
    assert loaded.seen().verdict.doubled == 1


@pytest.mark.parametrize("kinds", [KINDS, QUICK], ids=["all", "quick"])
def test_deploy_and_rollback_lose_nothing(loaded: Loaded, kinds: set[str]) -> None:
    with loaded.load(kinds) as running:
        for act in ("deploy", "rollback"):
            backend.write(loaded.app.directory / "program", "v2")
            loaded.app.teal(act).ok()
            running.more()
    seen = loaded.seen()
    assert seen.verdict.clean, seen
    assert set(seen.by_kind) == kinds
    assert set(seen.by_color) == {"blue", "green"}


def test_load_sees_the_loss_at_a_reload_of_nginx(loaded: Loaded) -> None:
    with loaded.load() as running:
        _reload(loaded.app)
        running.more()
    seen = loaded.seen()
    assert seen.verdict.lost > 0
    assert seen.failed["kept, naive"] and seen.failed["HTTP/2 over TLS"], seen


def test_load_of_every_kind_sees_a_stop_before_the_start(loaded: Loaded) -> None:
    with loaded.load() as running:
        os.kill(loaded.app.status()["colors"]["blue"]["pid"], signal.SIGTERM)
        running.more()
        loaded.app.deploy().ok()
        running.more()
    seen = loaded.seen()
    assert set(seen.failed) == KINDS, seen
    assert seen.verdict.lost >= seen.failed.total()


def _reload(app: App) -> None:
    """Replaces nginx's workers, and waits until new workers run."""
    master = int((app.world.root / "etc/nginx/nginx.pid").read_text())
    old = children(master)
    os.kill(master, signal.SIGHUP)
    wait_until(lambda: bool(children(master) - old))
