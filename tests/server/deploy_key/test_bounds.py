"""What a deploy key sends is bounded before it is worked on, and what it asks tells nothing of the server.

At 768eec4 any message could have 16 MiB, and `needs` told of each path, as root sees it, whether a file is there.
"""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness.deploy_keys import Answer, KeyedServer, deploy, frame, raw
from server.deploy_key.test_messages import new_id
from teal_host.wire.frames import MAX_SMALL
from teal_host.wire.manifest import Needs
from teal_host.wire.requests import Deploy


def refused(keyed: KeyedServer, request: Deploy) -> Answer:
    answer = keyed.replies_to(frame(request))[-1]
    assert answer["code"] == "config", answer
    return answer


@pytest.fixture(scope="module")
def secret(keyed: KeyedServer) -> Iterator[None]:
    """In root's home, in the data of another app, and behind a link for everybody. All requests share a connection."""
    command = "touch /root/there /var/lib/two/there; chmod 755 /root/there /var/lib/two/there; chmod 700 /root"
    links = "ln -sf /root/there /srv/there; ln -sf /root/nope /srv/nope"
    assert keyed.server.run("sh", "-c", f"{command}; {links}").returncode == 0
    with keyed.line():
        yield


@pytest.mark.parametrize(
    "folder",
    ["/root", "/var/lib/two", "/usr/../root", "/proc/self/root/root", "/var/lib/teal/one/../../../../root", "/srv"],
)
@pytest.mark.usefixtures("secret")
@pytest.mark.row("S11")
def test_deploy_key_is_not_told_what_lies_where_only_root_may_look(keyed: KeyedServer, folder: str) -> None:
    whole = deploy(keyed.spec(), b"x", new_id())
    answers = [refused(keyed, replace(whole, needs=Needs(f"{folder}/{name}"))) for name in ("there", "nope")]
    assert answers[0]["message"].replace("there", "nope") == answers[1]["message"]
    assert answers[0]["evidence"] == answers[1]["evidence"]
    spec = replace(whole.spec, run=replace(whole.spec.run, env={"PATH": f"/usr/bin:{folder}"}))
    answers = [refused(keyed, replace(whole, spec=spec, needs=Needs(None, name))) for name in ("there", "nope")]
    assert answers[0]["message"].replace("there", "nope") == answers[1]["message"]


@pytest.mark.row("S11")
def test_deploy_key_sends_no_large_message_but_a_deploy(keyed: KeyedServer) -> None:
    large = b'{"type":"status","app":"' + b"x" * MAX_SMALL + b'"}'
    answer = keyed.replies_to(raw(large))[-1]
    assert (answer["code"], "larger than allowed" in answer["message"]) == ("config", True)
