"""An older Teal does not take a server back silently: neither by what it reads nor by what it installs."""

from pathlib import Path

import pytest

from harness import Server
from harness.version_before import unpack_version_before
from harness.world import App
from server.setup.results import OTHERS, differing, setup_result
from teal_host.wire.sources import INSTALLED, VERSION

DEPLOYED = ("/var/lib/teal/shop/lock", "/var/lib/teal/.lock")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources of a Teal that does not know the format of now."""
    return unpack_version_before(tmp_path_factory.mktemp("before"))


@pytest.mark.row("B16")
def test_setup_of_a_teal_that_does_not_know_the_format_stops_and_changes_nothing(
    shared: Server, app: App, before: Path
) -> None:
    app.teal("setup").ok()
    app.deploy().ok()
    files = shared.files(ignoring=(*OTHERS, *DEPLOYED))
    stopped = app.teal("setup", "--yes", PYTHONPATH=str(before))
    assert stopped.code == 10, stopped
    assert differing(files, shared.files(ignoring=(*OTHERS, *DEPLOYED))) == []


@pytest.mark.row("B16")
def test_older_setup_replaces_a_newer_server_side_only_with_yes(shared: Server, app: App) -> None:
    app.teal("setup").ok()
    path = shared.root / INSTALLED
    as_it_was = path.read_bytes()
    length = f"{VERSION} ".encode()
    assert length in as_it_was[-128:]
    newer = f"9{VERSION[1:]} ".encode()
    path.write_bytes(as_it_was[:-64].removesuffix(length) + newer + b"0" * 64)
    changed = path.read_bytes()
    (change,) = setup_result(app.teal("setup", "--dry-run", "--json").ok())["changes"]
    assert change["downgrades"]
    assert f"it is of Teal 9{VERSION[1:]}" in change["says"]
    refused = app.teal("setup")
    assert (refused.code, "newer Teal" in refused.err, "--yes" in refused.err) == (2, True, True)
    app.deploy().ok()  # a deploy brings its own server side, and leaves the installed one
    assert path.read_bytes() == changed
    app.teal("setup", "--yes").ok()
    assert path.read_bytes() == as_it_was
