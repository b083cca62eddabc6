"""Other names are sent to the first, a wildcard stands for one label, and a trusted proxy says how visitors asked."""

import http.client

import pytest

from harness.world import App

FIRST = "shop.localhost"


def asked(app: App, host: str, **headers: str) -> "tuple[int, str | None]":
    line = http.client.HTTPConnection("127.0.0.1", app.ports[0], timeout=60)
    try:
        line.request("GET", "/a?b=c", headers={"Host": host, **headers})
        answer = line.getresponse()
        return answer.status, answer.getheader("Location")
    finally:
        line.close()


def test_redirects_wildcards_and_trusted_proxies_work_on_this_machine_too(app: App) -> None:
    names = {"domains": [FIRST, f"*.{FIRST}"], "redirects": ["www.localhost"]}
    app.config(server=names, proxy={"trusted": ["127.0.0.1"]}, verify={"path": "/healthz", "json": None})
    app.program(version="v1", only_https=True)
    app.deploy().ok()  # this app takes nothing but HTTPS, so its health check says that somebody in front speaks it
    app.program(version="v2", only_https=True)
    app.deploy().ok()
    secure = {"X-Forwarded-Proto": "https"}
    assert asked(app, FIRST, **secure) == asked(app, f"any.{FIRST}", **secure) == (200, None)
    assert asked(app, FIRST) == (301, f"https://{FIRST}/a?b=c")  # the program's own answer
    assert asked(app, "www.localhost") == (301, f"http://{FIRST}:{app.ports[0]}/a?b=c")
    assert asked(app, "www.localhost", **secure) == (301, f"https://{FIRST}/a?b=c")
    for stranger in ("other.localhost", f"a.b.{FIRST}"):
        with pytest.raises((http.client.HTTPException, OSError)):
            asked(app, stranger)
