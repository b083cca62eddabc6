"""The load of `teal demo`: clients on keep-alive connections. Each sends a request once, so that no loss is hidden."""

import itertools
import json
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.client import HTTPConnection

DEADLINE_S = 10.0  # for each part of an answer
MAX_FAILURES = 20
MAX_BODY = 4096  # bytes


@dataclass(frozen=True)
class Tally:
    requests: int = 0  # finished requests, failed or not
    failed: int = 0
    failures: tuple[str, ...] = ()  # the reasons of the first 20 failures
    answered_by: tuple[tuple[str, int], ...] = ()  # each color, and how often the color answered /status


class Load:
    """Sends `GET /status` and `POST /echo` in turn to a port of this machine. http.client never retries."""

    def __init__(self, port: int, *, clients: int = 8, per_second: int = 600) -> None:
        self._port = port
        self._interval_s = clients / per_second
        self._clients = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(clients)]
        self._stopped = threading.Event()
        self._counted = threading.Condition()
        self._requests = self._failed = 0
        self._failures: list[str] = []
        self._colors: Counter[str] = Counter()

    def start(self) -> None:
        for client in self._clients:
            client.start()

    def wait_for(self, requests: int, deadline_s: float) -> None:
        """Waits until so many requests have finished since the start, at most `deadline_s` seconds."""
        with self._counted:
            self._counted.wait_for(lambda: self._requests >= requests, deadline_s)

    def stop(self) -> Tally:
        """Lets running requests finish, and returns the counts."""
        self._stopped.set()
        for client in self._clients:
            client.join()
        return Tally(self._requests, self._failed, tuple(self._failures), tuple(sorted(self._colors.items())))

    def _run(self, number: int) -> None:
        """One client has one connection and sends one request at a time. The clients begin one after the other."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE_S)
        due = time.monotonic() + number * self._interval_s / len(self._clients)
        for count in itertools.count(number):
            if self._stopped.wait(max(0.0, due - time.monotonic())):
                break
            try:
                self._count(color=_exchange(connection, os.urandom(1 + count * 619 % MAX_BODY) if count % 2 else b""))
            except Exception as error:  # noqa: BLE001 - whatever happens, the request got no correct answer
                connection.close()
                self._count(failure=f"{type(error).__name__}: {error}")
            due += self._interval_s
        connection.close()

    def _count(self, color: str = "", failure: str = "") -> None:
        with self._counted:
            self._requests += 1
            self._failed += bool(failure)
            self._failures += [failure] if failure and len(self._failures) < MAX_FAILURES else []
            self._colors.update([color] if color else [])
            self._counted.notify_all()


def _exchange(connection: HTTPConnection, body: bytes) -> str:
    """The color that answers /status; no word for a body that /echo sent back. Raises for any other answer."""
    connection.request("POST" if body else "GET", "/echo" if body else "/status", body or None)
    answer = connection.getresponse()
    if answer.length is None and not answer.chunked:
        raise ValueError("an answer without a length: nobody can tell whether the answer is complete")
    content = answer.read()
    if answer.status != 200:
        raise ValueError(f"status {answer.status}")
    if not body:
        return str(json.loads(content)["color"])
    if content != body:
        raise ValueError(f"{len(body)} bytes were sent, {len(content)} others came back")
    return ""
