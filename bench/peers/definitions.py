"""Measures what a class of four fields costs, and one value of the class, defined in one of three ways.

`python definitions.py values|dataclass|NamedTuple` prints JSON.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from teal_host.wire import values


def with_values() -> type:
    @values.dataclass(frozen=True)
    class Message:
        app: str
        wait_s: float = 0.0
        command: tuple[str, ...] = ()
        release: str | None = None

    return Message


def with_dataclass() -> type:
    @dataclasses.dataclass(frozen=True)
    class Message:
        app: str
        wait_s: float = 0.0
        command: tuple[str, ...] = ()
        release: str | None = None

    return Message


def with_named_tuple() -> type:
    class Message(NamedTuple):
        app: str
        wait_s: float = 0.0
        command: tuple[str, ...] = ()
        release: str | None = None

    return Message


WAYS = {"values": with_values, "dataclass": with_dataclass, "NamedTuple": with_named_tuple}


def microseconds(act: Callable[[], object], times: int) -> float:
    """The processor time of one act, the best of five runs."""
    runs = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(times):
            act()
        runs.append((time.process_time() - began) / times * 1e6)
    return min(runs)


if __name__ == "__main__":
    define = WAYS[sys.argv[1]]
    message = define()
    make_us = microseconds(lambda: message("shop", release="0001"), 20_000)
    print(json.dumps({"define_us": microseconds(define, 300), "make_us": make_us}))
