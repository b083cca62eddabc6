"""A client of HTTP/2 over TLS, with some concurrent streams on one kept connection."""

import asyncio
from collections.abc import Iterable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError

from bench.load.http1 import RequestError
from bench.load.kinds.base import Kind
from bench.load.place import HOST, check, content, cut

_SIZE = 300
_MOST_ON_A_LINE = 800  # nginx announces the end of the connection after 1000 requests
_HEADERS = H2Configuration(client_side=True, header_encoding="utf-8")


class Http2(Kind):
    """Sends GET and POST side by side. A connection that closes early loses all streams under way."""

    name, quick, requests, tls = "HTTP/2 over TLS", True, 4, True
    posts = True
    _pair: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    _state: H2Connection

    async def ask(self) -> None:
        try:
            if self._pair is None:
                await self._open()
            streams = dict(self._begin(self.posts and number % 2 == 1) for number in range(self.requests))
            await self._flush()
            await self._answers(streams)
        except ProtocolError as error:
            raise RequestError(f"{type(error).__name__}: {error}") from error
        if self._state.get_next_available_stream_id() > 2 * _MOST_ON_A_LINE:
            await self.leave()

    async def leave(self) -> None:
        pair, self._pair = self._pair, None
        if pair:
            await cut(pair[1])

    async def _open(self) -> None:
        self._pair = await self.place.connect("h2")
        self._state = H2Connection(_HEADERS)
        self._state.initiate_connection()

    def _begin(self, post: bool) -> tuple[int, str]:
        """Opens a stream. Returns the stream and its id in the ledger."""
        ident = self.new()
        stream = self._state.get_next_available_stream_id()
        path = f"/quick?id={ident}&size={_SIZE}"
        names = [(":method", "POST" if post else "GET"), (":path", path), (":scheme", "https"), (":authority", HOST)]
        self._state.send_headers(stream, names, end_stream=not post)
        if post:
            self._state.send_data(stream, content(ident, _SIZE), end_stream=True)
        return stream, ident

    async def _answers(self, streams: dict[int, str]) -> None:
        """Reads all answers. Raises RequestError at the first wrong answer."""
        assert self._pair
        bodies = dict.fromkeys(streams, b"")
        colors: dict[int, str] = {}
        while streams:
            received = await self._pair[0].read(65536)
            if not received:
                raise RequestError("the connection was closed without an answer")
            for event in self._state.receive_data(received):
                if isinstance(event, ResponseReceived):
                    colors[event.stream_id or 0] = _color(event.headers or ())
                elif isinstance(event, DataReceived):
                    bodies[event.stream_id or 0] += event.data or b""
                    self._state.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
                elif isinstance(event, StreamEnded):
                    stream = event.stream_id or 0
                    ident = streams.pop(stream)
                    check(bodies[stream], content(ident, _SIZE))
                    self.tally.answered(ident, colors[stream])
                else:
                    _must_go_on(event)
            await self._flush()

    async def _flush(self) -> None:
        assert self._pair
        self._pair[1].write(self._state.data_to_send())
        await self._pair[1].drain()


class Http2Reader(Http2):
    """Sends no POST."""

    name, posts = "HTTP/2, GET alone", False


def _color(pairs: Iterable[tuple[str | bytes, str | bytes]]) -> str:
    headers = {str(name): str(value) for name, value in pairs}
    if headers[":status"] != "200":
        raise RequestError(f"status {headers[':status']}")
    return headers.get("x-color", "")


def _must_go_on(event: object) -> None:
    if isinstance(event, StreamReset):
        raise RequestError(f"stream {event.stream_id} was reset: {event.error_code}")
    if isinstance(event, ConnectionTerminated) and event.error_code != ErrorCodes.NO_ERROR:
        raise RequestError(f"the connection was ended: {event.error_code}")
