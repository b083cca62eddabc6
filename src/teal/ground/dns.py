"""Do the domains of an app lead to its server? The client resolves them as a browser would. At worst a warning."""

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Collection, Sequence

from teal_host.wire.reports import Finding

_WITHIN_S = 3.0


def check_domains(domains: Sequence[str], server: Collection[str]) -> list[Finding]:
    """Resolve all names at the same time, for 3 s at most."""
    addresses: dict[str, set[str]] = {}
    threads = [threading.Thread(target=_resolve, args=(name, addresses), daemon=True) for name in domains]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + _WITHIN_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [judge(name, addresses.get(name), server) for name in domains]


def judge(name: str, leads_to: Collection[str] | None, server: Collection[str]) -> Finding:
    """`leads_to`: None when no name server answered in time; `server`: the addresses that the server has itself."""
    if leads_to is None:
        return Finding("domains", "warning", f"no name server answered in time for {name}")
    if not leads_to:
        hint = f"add to its DNS: {records(name, public(server))}"
        return Finding("domains", "warning", f"{name} leads nowhere yet", hint)
    resolved = ", ".join(sorted(leads_to))
    if set(leads_to) & set(server):
        return Finding("domains", "ok", f"{name} leads to this server")
    if not public(server):
        return Finding(
            "domains", "ok", f"{name} leads to {resolved}; this server knows only addresses of its own network"
        )
    here = ", ".join(public(server))
    text = f"{name} leads to {resolved}, not to this server ({here}); behind a CDN that is as it should be"
    return Finding("domains", "warning", text)


def public(server: Collection[str]) -> list[str]:
    """The addresses by which the server can be reached from anywhere."""
    return sorted(address for address in server if not ipaddress.ip_address(address).is_private)


def records(name: str, addresses: Sequence[str]) -> str:
    """The DNS records that make the name lead to these addresses."""
    lines = [f"{name} {'AAAA' if ':' in address else 'A'} {address}" for address in addresses]
    return ", ".join(lines) or f"{name} A, with the address of the server"


def _resolve(name: str, addresses: dict[str, set[str]]) -> None:
    resolved: set[str] = set()
    with contextlib.suppress(OSError, UnicodeError):
        resolved = {str(answer[4][0]) for answer in socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)}
    addresses[name] = resolved
