"""A runtime that root finds and the app does not, as nvm and uv install it: Teal refuses before the upload."""

import pytest

from harness import Server
from harness.world import App


@pytest.mark.parametrize("folder", ["/root/.nvm/bin", "/home/bob/.local/bin", "/opt/closed"])
@pytest.mark.hint("install {} for all users, such as below /opt or /usr/local, or ship it in the artifact")
def test_runtime_that_the_app_cannot_reach_is_refused_before_the_upload(shared: Server, app: App, folder: str) -> None:
    app.teal("setup").ok()
    make = f"mkdir -p {folder} && cp /usr/bin/python3 {folder}/runtime && chmod 700 {folder} && ln -sf {folder}/runtime"
    shared.run("sh", "-c", f"{make} /usr/local/bin/runtime")
    try:
        text = (app.directory / "program").read_text()
        (app.directory / "program").write_text(text.replace("/usr/bin/python3", "/usr/bin/env runtime", 1))
        refused = app.deploy()
        assert (refused.code, refused.result["error"]["hint"].startswith("install runtime for all users")) == (3, True)
        assert "upload" not in {line.get("name") for line in refused.lines}
        shared.run("sh", "-c", "mkdir -p /opt/open && cp /usr/bin/python3 /opt/open/runtime")
        shared.run("ln", "-sf", "/opt/open/runtime", "/usr/local/bin/runtime")
        app.deploy().ok()
    finally:
        shared.run("rm", "-rf", folder, "/opt/open", "/usr/local/bin/runtime", "/root/.nvm", "/home/bob")
