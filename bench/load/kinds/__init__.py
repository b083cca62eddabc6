"""Every kind of client, and the weight of each."""

from bench.load.kinds.base import Kind
from bench.load.kinds.bodies import Expecting, SlowBody, SlowBodyStreamed
from bench.load.kinds.http2 import Http2, Http2Reader
from bench.load.kinds.plain import Head, Http10, Naive, New, NewTls, Pipelined, Polite
from bench.load.kinds.slow import LongPoll, SlowDownload, SlowHeaders
from bench.load.kinds.streams import Events, WebSocket

# The clients that get an answer at once, with their share of the rate.
BUSY: list[tuple[type[Kind], int]] = [
    (New, 1),
    (Http10, 1),
    (Head, 1),
    (Naive, 2),
    (Polite, 2),
    (Pipelined, 3),
    (Http2, 3),
]
# More such clients. Each runs only where a test or a bench names the client.
NAMED: list[tuple[type[Kind], int]] = [(NewTls, 1), (Http2Reader, 1)]
# The clients that take longer than a switch, so that a request of each is always under way.
LONG: list[type[Kind]] = [SlowHeaders, SlowBody, SlowBodyStreamed, Expecting, SlowDownload, LongPoll, Events, WebSocket]
