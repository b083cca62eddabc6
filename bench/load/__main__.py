"""The load in a process of its own, until standard input closes. Leaves what the clients have seen in a directory."""

import argparse
import asyncio
import json
import sys
import threading
from pathlib import Path

from bench.load.lanes import lanes, run
from bench.load.place import Place
from bench.load.tally import Tally

_TOLD_EVERY_S = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("name", help="the beginning of each request id")
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tls-port", type=int, default=0)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--per-second", type=float, default=200)
    parser.add_argument("--only", action="append", default=[])
    asyncio.run(_load(parser.parse_args()))


async def _load(asked: argparse.Namespace) -> None:
    tally = Tally(asked.name)
    place = Place(asked.address, asked.port, asked.tls_port, asked.certificate)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(stop.set)), daemon=True).start()
    teller = asyncio.create_task(_tell(tally))
    await run(lanes(place, tally, asked.per_second, asked.only), tally, stop)
    teller.cancel()
    tally.save(asked.out)


async def _tell(tally: Tally) -> None:
    """Reports the progress, one line at a time."""
    while True:
        print(json.dumps(tally.told()), flush=True)
        await asyncio.sleep(_TOLD_EVERY_S)


if __name__ == "__main__":
    main()
