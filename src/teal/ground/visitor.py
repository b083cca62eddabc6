"""Enter an app by its URL as a visitor from here would: one GET, within 6 s.

A name server or server may hang; the visit ends in time all the same, and says how far it came. Of an answer only the
status, the mark and a redirect to the same host count. The body is not read.
"""

import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import SplitResult, urljoin, urlsplit

from teal_host.wire.reports import ANSWERED_HEADER, PROBE_HEADER, Entrance

_WITHIN_S = 6.0
_CONNECTS_WITHIN_S = 3.0
_MOST_ADDRESSES, _MOST_REDIRECTS = 4, 3
_PORTS = {"http": 80, "https": 443}
_HEADERS = {"User-Agent": "teal", "Accept": "*/*", "Cache-Control": "no-cache", "Connection": "close"}

Event = Literal[
    "own site", "other site", "other host", "late name server", "no name", "refused", "dropped", "no route",
    "no answer", "not HTTP", "certificate",
]  # fmt: skip
_CLEAREST: tuple[Event, ...] = ("refused", "dropped", "no route")  # of a host whose addresses fail in different ways


@dataclass(frozen=True)
class Arrival:
    """How a visit ended. `addresses` are those of the URL's host; `address` and `port` are what was tried last."""

    event: Event
    port: int
    addresses: tuple[str, ...] = ()
    address: str = ""


def visit(entrance: Entrance, within_s: float = _WITHIN_S) -> Arrival:
    visitor = _Visitor(entrance, time.monotonic() + within_s)
    thread = threading.Thread(target=visitor.run, daemon=True)
    thread.start()
    thread.join(within_s)
    return visitor.arrival


class _Stopped(Exception):
    """The visit is over."""


class _Visitor:
    """`arrival` says at any moment how far the visitor has come."""

    def __init__(self, entrance: Entrance, deadline: float) -> None:
        self._mark, self._deadline = entrance.mark, deadline
        self._url = urlsplit(entrance.url)
        self.arrival = Arrival("late name server", _port(self._url))

    def run(self) -> None:
        with contextlib.suppress(_Stopped):
            addresses = self._resolve()
            for _ in range(_MOST_REDIRECTS + 1):
                self._follow(self._get(addresses))
            raise self._stopped("other site")  # it redirects without end

    def _resolve(self) -> tuple[str, ...]:
        try:
            answers = socket.getaddrinfo(self._url.hostname, self.arrival.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise self._stopped("no name") from None
        addresses = tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))
        if not addresses:
            raise self._stopped("no name")
        self.arrival = replace(self.arrival, event="dropped", addresses=addresses)
        return addresses

    def _get(self, addresses: Sequence[str]) -> http.client.HTTPResponse:
        connected = self._connect(addresses)
        self.arrival = replace(self.arrival, event="no answer")
        try:
            return self._answer(connected)
        except ssl.SSLCertVerificationError:
            raise self._stopped("certificate") from None
        except TimeoutError:
            raise self._stopped("no answer") from None
        except (OSError, http.client.HTTPException, ValueError):  # ValueError: a redirect that no request can name
            raise self._stopped("not HTTP") from None
        finally:
            connected.close()

    def _answer(self, connected: socket.socket) -> http.client.HTTPResponse:
        host, encrypted = self._url.hostname or "", self._url.scheme == "https"
        kind = http.client.HTTPSConnection if encrypted else http.client.HTTPConnection
        connection = kind(host, self.arrival.port)
        connection.sock = connected
        if encrypted:
            connection.sock = ssl.create_default_context().wrap_socket(connected, server_hostname=host)
        mark = {PROBE_HEADER: self._mark.question} if self._mark else {}
        with contextlib.closing(connection):
            connection.request("GET", self._url.path or "/", headers={**_HEADERS, **mark})
            return connection.getresponse()

    def _connect(self, addresses: Sequence[str]) -> socket.socket:
        failures: dict[Event, str] = {}
        for address in addresses[:_MOST_ADDRESSES]:
            self.arrival = replace(self.arrival, event="dropped", address=address)
            try:
                seconds = max(0.1, min(_CONNECTS_WITHIN_S, self._deadline - time.monotonic()))
                return socket.create_connection((address, self.arrival.port), timeout=seconds)
            except ConnectionRefusedError:
                failures.setdefault("refused", address)
            except TimeoutError:
                failures.setdefault("dropped", address)
            except OSError:
                failures.setdefault("no route", address)
        event = min(failures, key=_CLEAREST.index)
        self.arrival = replace(self.arrival, address=failures[event])
        raise self._stopped(event)

    def _follow(self, answer: http.client.HTTPResponse) -> None:
        """Go on only with a redirect of another site to the same host, and to an ordinary port."""
        location = answer.getheader("Location")
        if self._mark is None or answer.getheader(ANSWERED_HEADER) == self._mark.answer:
            raise self._stopped("own site")
        if answer.status not in (301, 302, 303, 307, 308) or not location:
            raise self._stopped("other site")
        self._url = self._target(location)
        self.arrival = replace(self.arrival, port=_port(self._url))

    def _target(self, location: str) -> SplitResult:
        with contextlib.suppress(ValueError, KeyError):
            target = urlsplit(urljoin(self._url.geturl(), location))
            if target.hostname == self._url.hostname and _port(target) in (_PORTS[target.scheme], self.arrival.port):
                return target
        raise self._stopped("other host")

    def _stopped(self, event: Event) -> _Stopped:
        self.arrival = replace(self.arrival, event=event)
        return _Stopped()


def _port(url: SplitResult) -> int:
    return url.port or _PORTS[url.scheme]
