"""What travels: frames both ways, a manifest, patches, packed blocks, nginx's words."""

import bz2
import io
import lzma
import os
import zlib
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from fuzz.engine import Target, corpus
from fuzz.mutation import frames, messages, mutated
from fuzz.plain import plain
from teal.ground.errors import HostFailed, StrangeAnswer
from teal.pipe.session import PipeEnded, Session, _Steady
from teal.transports.base import Transport
from teal_host.ground.errors import BadRequest, Cancelled
from teal_host.pipe import unpack
from teal_host.pipe.channel import Channel
from teal_host.pipe.unpack import Unpacked
from teal_host.wire import nginx_words, patch, typed
from teal_host.wire.frames import FrameError, parse_object
from teal_host.wire.manifest import Manifest
from teal_host.wire.messages import ANSWERS, EVENTS
from teal_host.wire.nginx_words import NotWhole
from teal_host.wire.patch import PatchError, number
from teal_host.wire.requests import MIDDLE, REQUESTS
from teal_host.wire.typed import Mistakes

MOST_MESSAGES, MOST_UNPACKED = 20, 4 * 1024 * 1024
SERVER = Transport("server", (), (), own_session=False)
BASE = bytes(range(256)) * 64


def of_kinds(kinds: tuple[type[Any], ...]) -> st.SearchStrategy[bytes]:
    """One message of any of these kinds."""
    return messages(st.one_of([st.tuples(st.just(kind.__name__.lower()), plain(kind)).map(_header) for kind in kinds]))


def _header(named: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"type": named[0], **named[1]}


def file_of(data: bytes) -> int:
    """A descriptor of a file in memory, at its beginning."""
    descriptor = os.memfd_create("input")
    os.write(descriptor, data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def to_the_server(data: bytes, folder: Path) -> object:
    with open(file_of(data), "rb") as incoming, open(os.devnull, "wb") as outgoing:
        channel = Channel(incoming, outgoing)
        received: list[object] = []
        while len(received) < MOST_MESSAGES:
            received.append(channel.receive_with_body(*REQUESTS, *MIDDLE)[0])
        return received


def to_the_client(data: bytes, folder: Path) -> object:
    with open(file_of(data), "rb", buffering=0) as raw:
        session = Session.__new__(Session)  # without a program behind it
        vars(session).update(_incoming=_Steady(raw), _transport=SERVER, _events=0)
        return [session.receive() for _ in range(MOST_MESSAGES)]


def manifest(data: bytes, folder: Path) -> object:
    return typed.decode(Manifest, parse_object(data))


def patched(data: bytes, folder: Path) -> object:
    """The size of the new file stands first."""
    size = int.from_bytes(data[:2], "big")
    with open(file_of(BASE), "rb") as base:
        made = sum(map(len, patch.apply(io.BytesIO(data[2:]), base, size)))
    assert made == size
    return made


def unpacked(data: bytes, folder: Path) -> object:
    """The packing and the size of blocks stand first."""
    packing, size = unpack.packings()[data[0] % 4 if data else 0], data[1] if len(data) > 1 else 0
    blocks = (data[at : at + size + 1] for at in range(2, len(data), size + 1))
    stream = Unpacked(blocks, packing)
    return sum(map(len, stream.pieces(MOST_UNPACKED)))


def words(data: bytes, folder: Path) -> object:
    text = data.decode(errors="surrogateescape")
    return [nginx_words.whole_directive(text[:16_384]), [word.text for word in nginx_words.words(text)]]


@st.composite
def patches(draw: st.DrawFn) -> bytes:
    """Of one chunk, mostly whole."""
    ops, added, new, size = b"", b"", b"", 0
    for kind, count in draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2000)), max_size=6)):
        ops += number((count << 2) | kind)
        size += count if kind != patch.SEEK else 0
        new += b"n" * count if kind == patch.NEW else b""
        added += b"a" * count if kind == patch.ADD else b""
    lengths = patch.LENGTHS.pack(len(ops), len(added), len(new))
    return (size % 65_536).to_bytes(2, "big") + lengths + ops + added + new


@st.composite
def packed(draw: st.DrawFn) -> bytes:
    text = draw(st.sampled_from([b"", b"a", b"text" * 2000, b"\0" * 2_000_000]))
    which = draw(st.integers(0, 3))
    bytes_ = [text, zlib.compress(text), bz2.compress(text), lzma.compress(text)][which]
    return bytes([which, draw(st.sampled_from([0, 15, 255]))]) + bytes_[: 300_000 if which else 3000]


TARGETS = [
    Target("to-the-server", to_the_server, frames(of_kinds(REQUESTS + MIDDLE)), (BadRequest, Cancelled)),
    Target("to-the-client", to_the_client, frames(of_kinds(EVENTS + ANSWERS)), (PipeEnded, StrangeAnswer, HostFailed)),
    Target("manifest", manifest, messages(plain(Manifest)), (FrameError, Mistakes)),
    Target("patch", patched, mutated(patches()), (PatchError,)),
    Target("unpack", unpacked, mutated(packed()), (BadRequest,)),
    Target("nginx-words", words, mutated(corpus("nginx-words")), (NotWhole,)),
]
