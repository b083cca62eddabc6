"""A login that comes with a Python of its own, such as a pyenv in root's home, which no unit can run."""

import shutil
from collections.abc import Iterator

import pytest

from harness import Server
from harness.world import App


@pytest.fixture
def pyenv(shared: Server) -> Iterator[str]:
    own, link = shared.root / "root/.pyenv/python3", shared.root / "usr/local/bin/python3"
    own.parent.mkdir()
    shutil.copy2((shared.root / "usr/bin/python3").resolve(), own)
    link.symlink_to("/root/.pyenv/python3")
    yield shared.ssh("python3", "-c", "import sys; print(sys.executable)").stdout.strip()
    link.unlink()
    shutil.rmtree(own.parent)


def test_setup_and_deploy_use_the_python_of_the_system(shared: Server, app: App, pyenv: str) -> None:
    assert pyenv == "/usr/local/bin/python3"
    app.teal("setup").ok()
    assert "\nExecStart=/usr/bin/python3 " in (shared.root / "etc/systemd/system/teal-shop@.service").read_text()
    assert app.deploy().ok().result["outcome"] == "live"
    assert app.teal("setup").ok().out == "shop is set up already; nothing to do\n"
