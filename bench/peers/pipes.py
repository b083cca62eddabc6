"""Sends messages to a second Python on this machine, in one of three ways. Prints the costs as JSON.

`python pipes.py teal|execnet|mitogen` runs in an environment that has the two libraries.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, BinaryIO, cast

ROUND_TRIPS = 2_000
BLOCK = 64 * 1024
DATA = os.urandom(10_000_000)
DIGEST = hashlib.sha256(DATA).hexdigest()
BLOCKS = [DATA[at : at + BLOCK] for at in range(0, len(DATA), BLOCK)]

_FRAMES = """
import hashlib, sys
from teal_host.wire.frames import read_frame, write_frame
seen = hashlib.sha256()
while (frame := read_frame(sys.stdin.buffer)) is not None:
    seen.update(frame.body)
    if not frame.body:
        write_frame(sys.stdout.buffer, {"n": frame.header["n"], "digest": seen.hexdigest()})
"""
_CHANNEL = """
import hashlib
seen = hashlib.sha256()
for item in channel:
    if isinstance(item, bytes):
        seen.update(item)
    else:
        channel.send((item, seen.hexdigest()))
"""


def took(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def measured(ask: Callable[[int], object], send_all: Callable[[], object]) -> None:
    """Prints the median of a round trip, and the rate at which all of the data arrived."""
    trips = [took(lambda number=number: ask(number)) for number in range(ROUND_TRIPS)]  # type: ignore[misc]
    seconds = took(send_all)
    print(json.dumps({"round_trip_us": statistics.median(trips) * 1e6, "mb_s": len(DATA) / 1e6 / seconds}))


def teal() -> None:
    from teal_host.wire.frames import read_frame, write_frame

    with subprocess.Popen([sys.executable, "-c", _FRAMES], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        to, back = cast(BinaryIO, child.stdin), cast(BinaryIO, child.stdout)

        def ask(number: int) -> str:
            write_frame(to, {"n": number})
            frame = read_frame(back)
            assert frame is not None
            return str(frame.header["digest"])

        def send_all() -> None:
            for block in BLOCKS:
                write_frame(to, {"n": 0}, block)
            assert ask(0) == DIGEST

        measured(ask, send_all)
        to.close()


def execnet() -> None:
    import execnet as library

    gateway = library.makegateway(f"popen//python={sys.executable}")
    channel = gateway.remote_exec(_CHANNEL)

    def ask(number: int) -> Any:
        channel.send(number)
        return channel.receive()[1]

    def send_all() -> None:
        for block in BLOCKS:
            channel.send(block)
        assert ask(0) == DIGEST

    measured(ask, send_all)
    gateway.exit()


def digest_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def same(number: int) -> int:
    return number


def mitogen() -> None:
    from mitogen.utils import run_with_router  # type: ignore[import-not-found]

    def with_router(router: Any) -> None:
        context = router.local(python_path=[sys.executable])

        def send_all() -> None:
            assert context.call(digest_of, DATA) == DIGEST

        measured(lambda number: context.call(same, number), send_all)

    run_with_router(with_router)


if __name__ == "__main__":
    {"teal": teal, "execnet": execnet, "mitogen": mitogen}[sys.argv[1]]()
