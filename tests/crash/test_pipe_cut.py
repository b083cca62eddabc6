"""The client's end of the pipe is cut at each message of a deploy."""

import os
import random
from collections.abc import Callable
from typing import Any

import pytest

from crash.scenes import NEVER, Run, Scene
from teal.ground.errors import CannotReach, ContactLost
from teal.pipe.session import Session
from teal_host.wire.reports import ReleaseRow, StatusReport

MESSAGES = ["Deploy", "Part", "Block", "Block", "Block", "Commit"]  # what a client sends
BIG = random.Random(7).randbytes(350_000).hex()  # three blocks of upload

Cut = Callable[[int], Run]


def hang_up(session: Session) -> None:
    _to_nowhere(session, session._outgoing.fileno(), session._raw.fileno())


def go_deaf(session: Session) -> None:
    """Closes only the client's input: what the client sends still arrives."""
    _to_nowhere(session, session._raw.fileno())


def _to_nowhere(session: Session, *descriptors: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def deploy_cut_after(scene: Scene, count: int, cut: Callable[[Session], None]) -> Run:
    """Runs a deploy whose client sends so many messages and then loses what `cut` takes away."""
    send = Session.send
    sent: list[str] = []

    def counted(session: Session, message: Any, body: bytes = b"") -> None:
        if len(sent) == count:
            cut(session)
        send(session, message, body)
        sent.append(type(message).__name__)
        if len(sent) == count:
            cut(session)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "send", counted)
        run = scene.deploy(NEVER)
    assert sent == MESSAGES[: len(sent)]
    return run


def check_nothing_changed(scene: Scene, before: StatusReport, releases: tuple[ReleaseRow, ...]) -> None:
    scene.check_settled("v2")
    assert (scene.status(), scene.releases()) == (before, releases)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("count", range(len(MESSAGES)), ids=lambda count: f"after {count}")
@pytest.mark.parametrize("cut", [hang_up, go_deaf], ids=lambda cut: cut.__name__)
@pytest.mark.row("B5", "B6")
def test_pipe_cut_before_the_commit_changes_nothing_and_leaves_nothing_behind(
    two: Scene, cut: Callable[[Session], None], count: int
) -> None:
    before, releases = two.status(), two.releases()
    two.new_version(padding=BIG)
    run = deploy_cut_after(two, count, cut)
    deaf = cut is go_deaf  # the client listens while it sends, so it notices before it sends the commit
    assert isinstance(run.error, CannotReach if deaf or count <= 1 else CannotReach | ContactLost)
    check_nothing_changed(two, before, releases)
    two.check_settled(two.deploy_new())


@pytest.mark.timeout(120)
@pytest.mark.parametrize("cut", [hang_up, go_deaf], ids=lambda cut: cut.__name__)
@pytest.mark.row("B5", "B6")
def test_server_side_finishes_alone_when_the_pipe_is_cut_after_the_commit(
    two: Scene, cut: Callable[[Session], None]
) -> None:
    new = two.new_version(padding=BIG)
    run = deploy_cut_after(two, len(MESSAGES), cut)
    assert isinstance(run.error, ContactLost)
    two.check_settled(new)


@pytest.mark.timeout(120)
def test_unhealthy_release_is_refused_when_the_pipe_is_cut_after_the_commit(two: Scene) -> None:
    two.new_version(padding=BIG, exits=1)
    run = deploy_cut_after(two, len(MESSAGES), hang_up)
    assert isinstance(run.error, ContactLost)
    two.check_settled("v2")
    assert two.releases()[0].outcome == "unhealthy"


def test_pipe_cut_within_a_message_changes_nothing(two: Scene) -> None:
    before, releases = two.status(), two.releases()
    two.new_version(padding=BIG)

    def half(session: Session) -> None:
        session._outgoing.write(bytes([0, 0, 0, 9, 0, 0, 1, 0]) + b'{"type":')
        hang_up(session)

    assert isinstance(deploy_cut_after(two, 3, half).error, CannotReach | ContactLost)
    check_nothing_changed(two, before, releases)
