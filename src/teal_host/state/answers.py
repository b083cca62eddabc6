"""How each color answered its visitors, and whether the new color is clearly worse. Pure.

A visitor is told from others by the address alone, and no address decides: whoever can make one request fail can make
a thousand fail.
"""

import math
import socket
from typing import Dict, Mapping, NamedTuple, Tuple

from teal_host.wire.values import dataclass

SEVERAL = 3  # clients at which the new color fails; fewer are no verdict
MANY = 5  # clients that are enough when the new color has answered nobody well, whatever is known of the old color
FEWEST_FAILED = 5
FEWEST_BEFORE = 5  # answers of the old color
CLEARLY = 0.05  # so much larger is the share of failed answers, and at least twice as large
CHANCE = 3e-4  # the comparison is made again and again
_ONE_VOICE = 3  # where only some clients see failures, a client counts as at most so many answers of a color
_ROUNDING = 1e-9
_MAPPED = b"\x00" * 10 + b"\xff\xff"  # an IPv4 address as an IPv6 socket has it
_HOUSEHOLD = 7  # bytes: a provider gives one customer the IPv6 addresses of a /56
_PRIVATE = (b"\x7f", b"\x0a", b"\xc0\xa8", b"\xa9\xfe", *(bytes((172, second)) for second in range(16, 32)))
_PRIVATE_IPV6 = (b"\x00" * _HOUSEHOLD, b"\xfc", b"\xfd", b"\xfe\x80")


class Answered(NamedTuple):
    """How often a color answered, and how often it failed."""

    asked: int = 0
    failed: int = 0

    @property
    def share(self) -> float:
        return self.failed / self.asked if self.asked else 0.0


Clients = Mapping[bytes, Answered]


@dataclass(frozen=True)
class AnswerCounts:
    """Of one color: how many requests were answered, how many of them with which status from 500 on, and how each
    client was answered. A client is what `client_of` makes of an address.
    """

    asked: int
    failed: Dict[int, int]
    clients: Mapping[bytes, Answered]

    @property
    def total(self) -> Answered:
        return Answered(self.asked, sum(self.failed.values()))

    @property
    def failing_clients(self) -> str:
        failing = sum(1 for answered in self.clients.values() if answered.failed)
        return f"{failing} of {len(self.clients)} {'address' if len(self.clients) == 1 else 'addresses'}"

    def __str__(self) -> str:
        statuses = ", ".join(f"{count} with {status}" for status, count in sorted(self.failed.items()))
        return f"{self.total.failed} of {self.asked} failed" + (f" ({statuses})" if statuses else "")


NOBODY = AnswerCounts(0, {}, {})


def client_of(address: bytes) -> bytes:
    """Whom nginx names: the IPv6 addresses of a household are one client. Empty where nobody is told from others."""
    text = address.decode(errors="replace")
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            packed = socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        is_mapped = packed.startswith(_MAPPED)
        return packed[len(_MAPPED) :] if is_mapped else packed if len(packed) == 4 else packed[:_HOUSEHOLD]
    return b""


def clearly_worse(new: AnswerCounts, old: AnswerCounts) -> bool:
    """Does the new color fail its visitors so much more often than the old one that neither chance nor one of them
    can be the reason?
    """
    now, before = dict(new.clients), dict(old.clients)
    if len(now) < SEVERAL:
        return _is_private(now) and _is_worse_for_most(now, before)
    changed = [client for client in now if now[client].failed and not before.get(client, Answered()).failed]
    if len(changed) < SEVERAL:  # a client that failed on the old color too says nothing about the new one
        return False
    nobody_is_well = all(answered.share == 1 for answered in now.values())
    if nobody_is_well and len(changed) >= MANY and _is_larger(new.total, old.total):
        return True
    worst = max(now, key=lambda client: now[client].failed)  # whoever fails most may do so on purpose
    now.pop(worst)
    before.pop(worst, None)
    return _is_worse_for_most(now, before) or _is_worse_for_some(now, before)


def chance(new: Answered, old: Answered) -> float:
    """How likely it is that the new color has so many of the failures of both, or more, if both fail alike: Fisher's
    exact test, one-sided. It holds for the smallest samples as well.
    """
    asked, failed = new.asked + old.asked, new.failed + old.failed
    total = 0.0
    for count in range(new.failed, min(new.asked, failed) + 1):
        ways = _log_comb(new.asked, count) + _log_comb(old.asked, failed - count) - _log_comb(asked, failed)
        total += math.exp(ways)
        if math.exp(ways) < total * 1e-9:
            break
    return min(1.0, total)


def _is_worse_for_most(new: Clients, old: Clients) -> bool:
    """If most clients see more failures, no peculiar client makes the difference, and each answer counts."""
    now, before = _total(new), _total(old)
    seeing = [answered for answered in new.values() if _is_larger(answered, before)]
    return 2 * len(seeing) > len(new) and before.asked >= FEWEST_BEFORE and _differ(now, before)


def _is_worse_for_some(new: Clients, old: Clients) -> bool:
    """A client that always fails, for a reason of its own, counts no more than others, however often it asks."""
    (new_asked, new_failed), (old_asked, old_failed) = _voices(new), _voices(old)
    fewest, most = math.floor(new_failed + _ROUNDING), math.ceil(old_failed - _ROUNDING)
    return _differ(Answered(new_asked, fewest), Answered(old_asked, most))


def _total(clients: Clients) -> Answered:
    rows = clients.values()
    return Answered(sum(row.asked for row in rows), sum(row.failed for row in rows))


def _voices(clients: Clients) -> Tuple[int, float]:
    weights = [min(answered.asked, _ONE_VOICE) for answered in clients.values()]
    return sum(weights), sum(weight * client.share for weight, client in zip(weights, clients.values()))


def _differ(new: Answered, old: Answered) -> bool:
    return new.failed >= FEWEST_FAILED and _is_larger(new, old) and chance(new, old) < CHANCE


def _is_larger(new: Answered, old: Answered) -> bool:
    return new.share >= max(old.share + CLEARLY, 2 * old.share)


def _is_private(clients: Clients) -> bool:
    """One or two addresses of a private network may be those of a proxy or a tunnel, with all visitors behind it."""
    known = [client for client in clients if client]
    return all(client.startswith(_PRIVATE if len(client) == 4 else _PRIVATE_IPV6) for client in known)


def _log_comb(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
