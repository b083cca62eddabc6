"""Does a name lead to the server? Asked as a certificate authority asks: over HTTP, at each address of the name.

Addresses come from this machine's resolver, its hosts file included. Proxies of the environment are not asked. Whatever
a server does, the questions end in time.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

from teal_host.wire.requests import NameSeen

_FOLDER = "/.well-known/acme-challenge/"
_CONNECTS_WITHIN_S, _NAME_WITHIN_S, _ALL_WITHIN_S = 3.0, 12.0, 60.0
_AT_ONCE, _MOST_ADDRESSES, _MOST_REDIRECTS, _MOST_BODY = 16, 8, 2, 100
_PORTS = {"http": 80, "https": 443}
_FAMILIES = {socket.AF_INET: "A", socket.AF_INET6: "AAAA"}
_LATE = "no name server or server answers in time"
_HEADERS = {"User-Agent": "teal", "Accept": "*/*", "Connection": "close"}


@dataclass(frozen=True)
class Challenge:
    """The server has put `content` into `file`. `own` are its addresses: this machine may have no way to some."""

    file: str
    content: str
    own: Collection[str] = ()

    @property
    def path(self) -> str:
        return f"{_FOLDER}{self.file}"


def see_names(names: Sequence[str], challenge: Challenge) -> list[NameSeen]:
    """Every name, in its order."""
    seen = {name: NameSeen(name, False, _LATE) for name in names}
    until = time.monotonic() + _ALL_WITHIN_S
    for first in range(0, len(names), _AT_ONCE):
        some = names[first : first + _AT_ONCE]
        threads = [threading.Thread(target=_see, args=(name, challenge, seen), daemon=True) for name in some]
        for thread in threads:
            thread.start()
        ends = min(until, time.monotonic() + _NAME_WITHIN_S)
        for thread in threads:
            thread.join(max(0.0, ends - time.monotonic()))
    return [seen[name] for name in names]  # a copy: a late thread changes nothing any more


def _see(name: str, challenge: Challenge, seen: dict[str, NameSeen]) -> None:
    try:
        answers = socket.getaddrinfo(name, _PORTS["http"], type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        answers = []
    addresses = list(dict.fromkeys((_FAMILIES.get(family, "A"), str(at[0])) for family, *_, at in answers))
    if not addresses:
        seen[name] = NameSeen(name, False, f"{name} has no address yet (A or AAAA)")
        return
    complaints = list(_complaints(name, addresses[:_MOST_ADDRESSES], challenge))
    why = f"{'; '.join(complaints)} ({name})" if complaints else ""
    seen[name] = NameSeen(name, not complaints, why)


def _complaints(name: str, addresses: list[tuple[str, str]], challenge: Challenge) -> Iterator[str]:
    """One for each address that does not lead to the server."""
    for family, address in addresses:
        is_own, failure = address in challenge.own, ""
        try:
            if _content(name, address, challenge.path) == challenge.content:
                continue
        except ConnectionRefusedError:
            failure = "it refuses connections to port 80"
        except TimeoutError:
            failure = "it does not answer on port 80"
        except OSError:
            if is_own:  # as IPv6 at many a desk; the authority may have the way
                continue
            failure = "there is no way to it from here"
        leads = "is the server's, and does not lead to its site" if is_own else "leads elsewhere"
        yield f"{family} {address} {leads}{f': {failure}' if failure else ''}"


def _content(name: str, address: str, path: str) -> str:
    """Raises OSError. A redirect counts if it stays on this name, as behind a CDN that redirects to HTTPS."""
    scheme = "http"
    for _ in range(_MOST_REDIRECTS + 1):
        with _connect(address, scheme) as connected:
            status, location, body = _get(name, connected, scheme, path)
        if status == 200 or not location:
            return body if status == 200 else ""
        target = _target(f"{scheme}://{name}{path}", location)
        if (target.hostname, target.path) != (name, path) or target.scheme not in _PORTS:
            return ""
        scheme = target.scheme
    return ""


def _target(url: str, location: str) -> SplitResult:
    try:
        target = urlsplit(urljoin(url, location))
        return target if target.port is None else urlsplit("")
    except ValueError:
        return urlsplit("")


def _connect(address: str, scheme: str) -> socket.socket:
    return socket.create_connection((address, _PORTS[scheme]), timeout=_CONNECTS_WITHIN_S)


def _get(name: str, connected: socket.socket, scheme: str, path: str) -> tuple[int, str, str]:
    """Raises TimeoutError. Whatever is no HTTP has status 0: somebody is there, and it is no site of Teal."""
    connection = http.client.HTTPConnection(name, _PORTS[scheme])
    connection.sock = connected
    try:
        if scheme == "https":  # it proves nothing here: the authority does not look at the certificate either
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection.sock = context.wrap_socket(connected, server_hostname=name)
        connection.request("GET", path, headers=_HEADERS)
        answer = connection.getresponse()
        location = answer.getheader("Location") or ""
        return answer.status, location if 300 < answer.status < 400 else "", _text(answer)
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException, ValueError):
        return 0, "", ""
    finally:
        connection.close()


def _text(answer: http.client.HTTPResponse) -> str:
    return answer.read(_MOST_BODY).decode("ascii", "replace").strip()
