"""A setup that finds all as it should be: an earlier one may have been killed before it synced what it named."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from host.pipe import spec
from teal_host.ground import files
from teal_host.ground.paths import HostPaths
from teal_host.pipe.channel import Channel
from teal_host.state import footprint
from teal_host.state.app import App
from teal_host.stories import setup
from teal_host.wire import typed
from teal_host.wire.app import AppSpec
from teal_host.wire.manifest import Origin
from teal_host.wire.requests import Setup


@pytest.mark.parametrize("dry_run", [False, True])
def test_setup_with_nothing_to_change_syncs_the_folders_of_what_it_once_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    host = HostPaths(tmp_path)
    paths, site = host.app("shop"), tmp_path / "etc/nginx/sites-enabled/shop"
    files.make_dir(paths.footprint.parent)
    footprint.remember(paths, site, "0" * 64)
    machine = SimpleNamespace(paths=host, provisioning=SimpleNamespace(check_setup_is_possible=lambda: None))
    app = cast(App, SimpleNamespace(paths=paths, host=machine, tell=lambda message: None))
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync_dirs", synced.extend)
    monkeypatch.setattr(setup, "planned", lambda *ignored: [])
    request = Setup(typed.decode(AppSpec, cast(Any, spec(8080))), Origin("anna", "laptop"), dry_run=dry_run)
    setup.setup(app, request, cast(Channel, None))
    assert {site.parent, host.installed.parent, paths.agreed.parent} <= {*synced} or (dry_run and not synced)
