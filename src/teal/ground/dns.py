"""Do the domains of an app lead to its server? Asked from here, as a browser would; only ever a warning."""

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Collection, Sequence

from teal_host.wire.reports import Finding

_WITHIN_S = 3.0


def check_domains(domains: Sequence[str], server: Collection[str]) -> list[Finding]:
    """All names at once; a name server that does not answer is not waited for longer than 3 s."""
    found: dict[str, set[str]] = {}
    threads = [threading.Thread(target=_resolve, args=(name, found), daemon=True) for name in domains]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _WITHIN_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [judge(name, found.get(name), server) for name in domains]


def judge(name: str, leads_to: Collection[str] | None, server: Collection[str]) -> Finding:
    """`leads_to`: None when nobody said in time; `server`: the addresses that the server itself knows of."""
    if leads_to is None:
        return Finding("domains", "warning", f"no name server has told in time where {name} leads")
    public = sorted(address for address in server if not ipaddress.ip_address(address).is_private)
    if not leads_to:
        where = f" to {' or '.join(public)}" if public else ""
        return Finding("domains", "warning", f"{name} leads nowhere yet", f"in its DNS, let it lead{where}")
    told = ", ".join(sorted(leads_to))
    if set(leads_to) & set(server):
        return Finding("domains", "ok", f"{name} leads to this server")
    if not public:
        return Finding("domains", "ok", f"{name} leads to {told}; this server knows only addresses of its own network")
    says = f"{name} leads to {told}, not to this server ({', '.join(public)}); behind a CDN that is as it should be"
    return Finding("domains", "warning", says)


def _resolve(name: str, found: dict[str, set[str]]) -> None:
    answers: set[str] = set()
    with contextlib.suppress(OSError, UnicodeError):
        answers = {str(answer[4][0]) for answer in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)}
    found[name] = answers
