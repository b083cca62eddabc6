"""A key of a lower tier looks and changes nothing, however it is used. At 768eec4 every key could deploy."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from harness.booted_server import make_key
from harness.deploy_keys import ORIGIN, Answer, KeyedServer, at_once, deploy, frame
from server.deploy_key.test_messages import new_id
from teal_host.wire.requests import Intended, Logs, Releases, Rollback, Status
from teal_host.wire.sources import CALLS


def setup(keyed: KeyedServer, *words: str) -> str:
    return keyed.app_one.teal("setup", "--deploy-key", f"{keyed.key('agent')}.pub", *words).ok().err


@pytest.fixture(scope="module")
def agent(keyed: KeyedServer) -> Iterator[str]:
    make_key(keyed.key("agent"), "agent")
    assert "do this with one and nothing else: status, logs" in setup(keyed, "--may", "status,logs")
    yield "agent"
    keyed.app_one.teal("setup", "--remove-key", keyed.fingerprint("agent")).ok()


def reply(keyed: KeyedServer, *sent: bytes) -> Answer:
    return keyed.replies_to(*sent, key="agent")[-1]


@pytest.mark.hint("use a key that may deploy, or log in as the server's admin")
@pytest.mark.row("S33")
def test_lesser_key_does_what_it_is_for_and_nothing_else(keyed: KeyedServer, agent: str) -> None:
    requests = {
        "deploy": frame(deploy(keyed.spec(), b"x", new_id())),
        "deploy, ahead": frame(Intended(keyed.spec())),
        "rollback": frame(Rollback("one", ORIGIN, new_id())),
        "releases": frame(Releases("one")),
    }
    with keyed.unchanged():
        answers = at_once({name: partial(reply, keyed, sent) for name, sent in requests.items()})
        assert {answer["code"] for answer in answers.values()} == {"not_allowed"}
        assert reply(keyed, frame(Status("one")))["type"] == "statusreport"
        assert reply(keyed, frame(Logs("one")))["type"] == "done"


@pytest.mark.row("S33")
def test_lesser_key_in_hostile_use_changes_nothing_that_visitors_see(keyed: KeyedServer, agent: str) -> None:
    seen, stop = [], threading.Event()

    def visit() -> None:
        while not stop.wait(0.01):
            seen.append(keyed.app_one.get("/", "one.test")["version"])

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        with keyed.unchanged():
            sent = [
                frame(Status("one")),
                frame(deploy(keyed.spec(), b"x", new_id())),
                b"\0" * 1000,
                frame(Logs("one", follow=True)),
            ]
            at_once(
                {
                    str(number): partial(keyed.ssh, "--", CALLS, key="agent", stdin=sent[number % 4])
                    for number in range(16)
                }
            )
    finally:
        stop.set()
        visitor.join()
    assert len({*seen}) == 1


def test_key_gets_another_tier_when_it_is_let_in_again(keyed: KeyedServer, agent: str) -> None:
    assert "until now: do this with one and nothing else" in setup(keyed)
    assert reply(keyed, frame(Releases("one")))["type"] == "releasesreport"
    setup(keyed, "--may", "status,logs")
    assert reply(keyed, frame(Releases("one")))["code"] == "not_allowed"
    assert (
        "nothing to do"
        in keyed.app_one.teal("setup", "--deploy-key", f"{keyed.key('agent')}.pub", "--may", "logs,status").ok().out
    )


@pytest.mark.hint("teal setup --deploy-key FILE.pub --may status", "choose among {}")
def test_setup_refuses_words_that_no_key_can_be_for(keyed: KeyedServer, agent: str) -> None:
    alone = keyed.app_one.teal("setup", "--may", "status")
    assert (alone.code, "there is no key" in alone.err) == (2, True)
    unknown = keyed.app_one.teal("setup", "--deploy-key", f"{keyed.key('agent')}.pub", "--may", "status,exec")
    assert (unknown.code, "cannot be for 'exec'" in unknown.err) == (2, True)
    assert "choose among deploy, rollback, status, releases, logs" in unknown.err
