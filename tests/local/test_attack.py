"""One visitor makes requests that fail on every release: the visitor decides no deploy, and hides no bad release.

`TEAL_ATTACK_S` is the length of the attack. Each visitor has a loopback address of its own.
"""

import http.client
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from harness.world import App, wait_until

ATTACK_S = float(os.environ.get("TEAL_ATTACK_S", "3"))
ATTACKER, EVERY_S = "127.0.0.9", 1 / 3.5
Asked = Counter[tuple[str, int]]  # address and status


@contextmanager
def asking(app: App, path: str, every_s: float, *addresses: str) -> Iterator[Asked]:
    """Sends requests from each address, from before the block until its end."""
    stop, asked = threading.Event(), Asked()

    def ask(address: str) -> None:
        while not stop.wait(every_s):
            line = http.client.HTTPConnection("127.0.0.1", app.ports[0], timeout=60, source_address=(address, 0))
            line.request("GET", path)
            asked[address, line.getresponse().status] += 1
            line.close()

    threads = [threading.Thread(target=ask, args=(address,)) for address in addresses]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(asked) >= len(addresses))
        yield asked
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.row("E18")
@pytest.mark.timeout(ATTACK_S + 240)
def test_watch_keeps_a_good_release_and_rolls_back_a_worse_one_in_an_attack(
    app: App, counted: Callable[..., None]
) -> None:
    app.deploy_versions("v1")
    visitors = [f"127.0.0.{number}" for number in range(2, 6)]
    with asking(app, "/fail", EVERY_S, ATTACKER) as attack, asking(app, "/", 0.05, *visitors) as visits:
        app.config(keep={"watch_s": ATTACK_S})
        app.program(version="v2", starts_after=0.5)
        assert app.deploy(deadline_s=ATTACK_S + 120).ok().result["outcome"] == "live"
        counted(seconds=int(ATTACK_S), failed_for_the_attacker=attack[ATTACKER, 500], failed_for_visitors=0)
        assert {status for _, status in visits} == {200}
        assert attack[ATTACKER, 500] >= ATTACK_S * 3
        app.program(version="v3", root_500=True, starts_after=0.5)
        app.config(keep={"watch_s": 600}, verify={"path": "/healthz", "json": {"message": "ok"}})
        worse = app.deploy()
    assert (worse.code, worse.result["outcome"]) == (7, "rolled_back"), worse
    assert "fails its visitors" in worse.result["error"]["message"]
    assert app.get()["version"] == "v2"


@pytest.mark.row("E18")
@pytest.mark.parametrize(
    ("path", "others"), [("/fail", ()), ("/fails-on-v2", ("127.0.0.2",))], ids=["both colors", "the new color"]
)
def test_watch_keeps_a_release_when_one_visitor_alone_sees_failures(
    app: App, path: str, others: tuple[str, ...]
) -> None:
    """An address is no proxy for all visitors if somebody else gets good answers."""
    app.deploy_versions("v1")
    with asking(app, path, EVERY_S / 2, "127.0.0.1"), asking(app, "/", 0.1, *others):
        app.config(keep={"watch_s": 2})
        app.program(version="v2", fails=["/fails-on-v2"])
        assert app.deploy().ok().result["outcome"] == "live"
