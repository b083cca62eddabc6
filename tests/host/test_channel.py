"""The waits of a channel: each has its own deadline, because a side may never see the end of the pipe."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pytest

from host.pipe import frame
from teal_host.ground import overtaking
from teal_host.ground.errors import BadRequest, Cancelled, GaveWay
from teal_host.pipe import channel as talks
from teal_host.pipe.channel import FIRST_WITHIN_S, OWED_WITHIN_S, Channel
from teal_host.wire.frames import Frame, read_frame
from teal_host.wire.messages import Note, Output
from teal_host.wire.requests import Commit, Enough, Status


@contextmanager
def talking() -> Iterator[tuple[Channel, BinaryIO]]:
    """A channel, and the client's end of the pipe."""
    own_end, theirs = os.pipe()
    with open(own_end, "rb") as incoming, open(theirs, "wb", buffering=0) as client, open(os.devnull, "wb") as nowhere:
        yield Channel(incoming, nowhere), client


@pytest.mark.row("B2")
def test_channel_aborts_when_the_client_is_silent() -> None:
    with talking() as (channel, _):
        began = time.monotonic()
        with pytest.raises(Cancelled, match=r"said nothing for 0\.1 s"):
            channel.receive(Commit, within_s=0.1)
        assert time.monotonic() - began < 60


def test_channel_aborts_when_the_client_falls_silent_within_a_message() -> None:
    with talking() as (channel, client):
        client.write(frame({"type": "commit"})[:-3])
        with pytest.raises(Cancelled, match="said nothing"):
            channel.receive(Commit, within_s=0.1)


def test_channel_aborts_when_the_client_falls_silent_after_many_bytes() -> None:
    """Each byte brings a message more time, but a silence none."""
    with talking() as (channel, client):
        client.write(frame({"type": "commit"}, body=bytes(60_000))[:-3])  # a pipe holds as much
        began = time.monotonic()
        with pytest.raises(Cancelled, match=r"said nothing whole for 0\.1 s"):
            channel.receive_with_body(Commit, within_s=0.1)
        assert time.monotonic() - began < 50


def test_channel_waits_an_hour_for_the_first_request_and_two_minutes_for_an_owed_message() -> None:
    assert (FIRST_WITHIN_S, OWED_WITHIN_S) == (3600, 120)


def test_channel_aborts_when_enough_comes_while_a_message_is_owed() -> None:
    with talking() as (channel, client):
        client.write(frame({"type": "enough"}))
        with pytest.raises(Cancelled, match="went away"):
            channel.receive(Commit)


def test_channel_receives_enough_when_expected() -> None:
    with talking() as (channel, client):
        client.write(frame({"type": "enough"}))
        assert channel.receive(Commit, Enough) == Enough()


def test_channel_stops_listening_after_enough() -> None:
    with talking() as (channel, client):
        assert channel.listening()
        client.write(frame({"type": "enough"}))
        assert not channel.listening()


def test_channel_separates_two_messages_that_came_at_once() -> None:
    with talking() as (channel, client):
        client.write(frame({"type": "commit"}) + frame({"type": "status", "app": "shop"}))
        assert channel.receive(Commit) == Commit()
        assert not channel.listening()
        assert channel.receive(Status) == Status("shop")
        assert channel.listening()


def test_channel_refuses_an_unexpected_message() -> None:
    with talking() as (channel, client):
        client.write(frame({"type": "status", "app": "shop"}))
        with pytest.raises(BadRequest, match="'status' is not expected"):
            channel.receive(Commit)


@pytest.mark.row("B3", "B6")
def test_channel_is_not_held_up_after_the_commit_by_a_client_that_stops_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The pipe to a stopped client, or to a client behind a dead line, is full."""
    monkeypatch.setattr(talks, "READ_WITHIN_S", 0.1)
    theirs, own_end = os.pipe()
    with open(theirs, "rb") as client, open(own_end, "wb") as outgoing:
        channel = Channel(client, outgoing)
        channel.committed = True
        for _ in range(2_000):
            channel.tell(Note("info", "x" * 100))
        assert channel.alone


@contextmanager
def talking_to_the_deaf() -> Iterator[tuple[Channel, BinaryIO]]:
    """A channel to a client that reads nothing, and the client's end of the pipe to the server side."""
    unread_end, server_end = os.pipe()
    incoming, client_end = os.pipe()
    with (
        open(incoming, "rb") as heard,
        open(client_end, "wb", buffering=0) as client,
        open(unread_end, "rb"),
        open(server_end, "wb") as outgoing,
    ):
        yield Channel(heard, outgoing), client


def tell_much(channel: Channel) -> None:
    for _ in range(2_000):
        channel.tell(Note("info", "x" * 100))


@pytest.mark.row("B6")
@pytest.mark.timeout(60)
def test_channel_is_not_held_up_before_the_commit_by_a_client_that_never_reads() -> None:
    """A deploy key that never reads its pipe would hold the lock of the app for ever."""
    with talking_to_the_deaf() as (channel, client):
        channel.taken_within_s = 0.1
        tell_much(channel)
        assert channel.alone
        client.write(frame({"type": "commit"}))
        assert channel.receive(Commit) == Commit()


def test_channel_waits_only_a_moment_for_a_client_that_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talks, "READ_WITHIN_S", 0.1)
    with talking_to_the_deaf() as (channel, _):
        channel.taken_within_s = 0.1
        tell_much(channel)
        with pytest.raises(Cancelled, match=r"said nothing for 0\.1 s"):
            channel.receive(Commit, within_s=3600)


@pytest.mark.row("B6", "G6")
@pytest.mark.timeout(60)
def test_channel_waits_no_longer_for_a_client_that_stops_in_a_large_message() -> None:
    with talking_to_the_deaf() as (channel, _):
        channel.taken_within_s = 0.1
        began = time.monotonic()
        channel.tell(Note("info", "x"), body=bytes(1_000_000))
        assert channel.alone
        assert time.monotonic() - began < 500


def test_channel_lets_a_rollback_overtake_a_command_whose_client_reads_nothing() -> None:
    overtaking.listen()
    with talking_to_the_deaf() as (channel, _):
        channel.taken_within_s = 3600
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGURG))
        timer.start()
        with pytest.raises(GaveWay), overtaking.possible():
            tell_much(channel)
        timer.join()


def test_channel_sends_a_message_whole_that_is_larger_than_the_pipe() -> None:
    theirs, own_end = os.pipe()
    with open(theirs, "rb") as client, open(own_end, "wb") as outgoing, open(os.devnull, "rb") as nothing:
        heard: list[Frame | None] = []
        reader = threading.Thread(target=lambda: heard.append(read_frame(client)))
        reader.start()
        Channel(nothing, outgoing).tell(Output("stdout"), b"x" * 300_000)
        reader.join(60)
        assert heard == [Frame({"type": "output", "stream": "stdout"}, b"x" * 300_000)]


@pytest.mark.timeout(60)
@pytest.mark.row("S6")
def test_channel_aborts_when_a_message_comes_in_drops() -> None:
    """A byte now and then is no sign of a client that means it, and the lock is held meanwhile."""
    with talking() as (channel, client):
        stop = threading.Event()

        def drip() -> None:
            client.write(frame({"type": "commit"})[:8])
            while not stop.wait(0.02):
                client.write(b" ")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            client.write(b"")
            with pytest.raises(Cancelled, match=r"said nothing whole for 0\.1 s"):
                channel._incoming.expect(0.1)
                while True:
                    channel._incoming.read(1)
        finally:
            stop.set()
            dripping.join()


def test_channel_keeps_a_client_that_reads_after_the_commit() -> None:
    with talking() as (channel, _):
        channel.committed = True
        channel.tell(Note("info", "x"))
        assert not channel.alone


@pytest.mark.row("B6")
@pytest.mark.row("S6")
def test_channel_aborts_an_upload_of_empty_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 768eec4 an empty block every 100 s held the lock of the app for ever."""
    monkeypatch.setattr(talks, "UPLOAD_PAUSES_S", 0.2)
    with dripping(frame({"type": "block"})) as channel, pytest.raises(Cancelled, match="slower than 1,000 bytes"):
        for _ in channel.blocks():
            pass


@pytest.mark.row("B6")
@pytest.mark.row("S6")
def test_channel_aborts_an_upload_of_parts_without_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talks, "UPLOAD_PAUSES_S", 0.2)
    part = frame({"type": "part", "count": 1, "packing": "plain"}) + frame({"type": "block", "last": True})
    with dripping(part) as channel, pytest.raises(Cancelled, match="slower than 1,000 bytes"):
        while channel.part():
            assert list(channel.blocks()) == [b""]


@pytest.mark.row("B6")
@pytest.mark.row("S6")
def test_channel_aborts_an_upload_that_takes_longer_than_a_key_may() -> None:
    with dripping(frame({"type": "block"}, b"x" * 10_000)) as channel:
        channel.upload_within_s = 0.2
        with pytest.raises(Cancelled, match="takes longer than"):
            for _ in channel.blocks():
                pass


@contextmanager
def dripping(sent: bytes) -> Iterator[Channel]:
    """A channel whose client sends this again and again."""
    with talking() as (channel, client):
        stop = threading.Event()

        def drip() -> None:
            while not stop.wait(0.02):
                client.write(sent)

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            yield channel
        finally:
            stop.set()
            thread.join()
