"""Clients side by side, each with its own schedule: a client sends when its turn is due, however late answers are."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from bench.load.http1 import RequestError
from bench.load.kinds import BUSY, LONG, NAMED
from bench.load.kinds.base import Kind
from bench.load.place import Place
from bench.load.tally import Tally

_DEADLINE_S = 30.0  # for one turn of a client
_LANES = 2  # of each kind


@dataclass(frozen=True)
class Lane:
    kind: Kind
    every_s: float
    late_s: float  # seconds after the start, so that not all clients begin at once


def lanes(place: Place, tally: Tally, per_second: float, only: Sequence[str] = ()) -> list[Lane]:
    """The clients of all kinds, or only of the named kinds. The busy kinds share the rate by their weights."""
    tls = place.certificate is not None
    busy = [(client, weight) for client, weight in (BUSY + NAMED if only else BUSY) if _wanted(client, tls, only)]
    heaviness = sum(weight for _, weight in busy)
    every = {client: client.requests * _LANES * heaviness / (weight * per_second) for client, weight in busy}
    every |= {client: client.every_s for client in LONG if _wanted(client, tls, only)}
    return list(_spread(every, place, tally))


def _wanted(kind: type[Kind], tls: bool, only: Sequence[str]) -> bool:
    return (tls or not kind.tls) and (not only or kind.name in only)


def _spread(every: dict[type[Kind], float], place: Place, tally: Tally) -> Iterator[Lane]:
    for number, (kind, seconds) in enumerate(every.items()):
        for lane in range(_LANES):
            yield Lane(kind(place, tally), seconds, seconds * (lane / _LANES + number / len(every) / _LANES))


async def run(all_lanes: Sequence[Lane], tally: Tally, stop: asyncio.Event) -> None:
    """Runs until somebody stops the clients. Then each client finishes its turn."""
    begin = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        for lane in all_lanes:
            group.create_task(_visit(lane, tally, stop, begin + lane.late_s))


async def _visit(lane: Lane, tally: Tally, stop: asyncio.Event, due: float) -> None:
    loop = asyncio.get_running_loop()
    while not await _stopped(stop, due):
        well = await _turn(lane.kind, tally)
        if well and lane.kind.quick:  # a quick failure is no fast answer
            tally.took(due, loop.time() - due)
        due += lane.every_s
    await lane.kind.leave()


async def _turn(kind: Kind, tally: Tally) -> bool:
    try:
        async with asyncio.timeout(_DEADLINE_S):
            await kind.ask()
    except (RequestError, OSError, EOFError, asyncio.LimitOverrunError, ValueError) as error:
        tally.failed(kind.name, f"{type(error).__name__}: {error}")
        await kind.leave()
        return False
    return True


async def _stopped(stop: asyncio.Event, due: float) -> bool:
    if due > asyncio.get_running_loop().time():
        with suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await stop.wait()
    return stop.is_set()
