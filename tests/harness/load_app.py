"""An app that runs the program of the load, with TLS and with a path whose bodies nginx does not buffer."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from bench.load import backend
from bench.load.place import Place

from harness.world import App, World

LONGEST_S = 3  # longer than any request of a client
STREAMED = "location /unbuffered/ { proxy_request_buffering off; proxy_pass http://$teal_app; }"


def loaded_app(
    world: World, tls: tuple[int, str, str], name: str = "load", own: Sequence[str] = (), **config: Any
) -> App:
    """`tls` has the port, and where nginx finds certificate and key; `own` has more directives.

    Skips the test if there can be no load.
    """
    if reason := backend.why_not():
        pytest.skip(reason)
    app = world.app(name)
    port, certificate, key = tls
    directives = [f"listen {port} ssl http2;", f"ssl_certificate {certificate};", f"ssl_certificate_key {key};"]
    sections: dict[str, dict[str, Any]] = {
        "run": {"data": True},
        "proxy": {"directives": [*directives, STREAMED, *own]},
        "keep": {"watch_s": 0, "drain_s": LONGEST_S},
        "verify": {"path": "/status", "json": {"color": "{color}", "release": "{release}"}},
    }
    app.config(**{key: {**sections.get(key, {}), **config.get(key, {})} for key in sections | config})
    backend.write(app.directory / "program", "v1")
    return app


def load_place(app: App, tls_port: int, certificate: Path) -> Place:
    return Place(app.world.address, app.ports[0], tls_port, certificate)
