"""The one module that runs nft, the kernel's packet filter. Teal has a table for each app and touches no other.

Tables are compared by the comments of their rules, which hold a digest of the text that Teal has loaded.
"""

import json
import os
import re
from pathlib import Path
from typing import List, Optional

from teal_host.ground.errors import CannotRun
from teal_host.ground.run import Ran, run

NFT = "/usr/sbin/nft"
_ANSWER_S = 8.0
_TRIAL = (
    "add table inet teal.trial; add chain inet teal.trial out { type filter hook output priority 0; }; "
    "add rule inet teal.trial out tcp sport 1 meta skuid != 0 reject with tcp reset"
)
_LISTENER_TRIAL = (
    "add table inet teal.trial; add chain inet teal.trial in { type filter hook input priority 0; }; "
    'add rule inet teal.trial in tcp dport 1 socket cgroupv2 level 1 "system.slice" accept; '
    "add rule inet teal.trial in tcp dport 1 socket wildcard <= 1 reject with tcp reset"
)
_COMMENT = re.compile(r'comment "([^"]*)"')


def is_installed() -> bool:
    return os.access(NFT, os.X_OK)


def obstacle() -> Optional[str]:
    """nft's words if the kernel takes no such rules, as in some containers."""
    tried = _nft("--check", _TRIAL)
    return None if tried.code == 0 else (tried.lines or ["nft gives no reason"])[0].strip()


def knows_listeners() -> bool:
    """Can a rule ask in which cgroup (of v2) the socket was made that would take a packet? Linux can from 5.13 on."""
    return not is_installed() or _nft("--check", _LISTENER_TRIAL).code == 0


def load(rules: Path) -> None:
    """The kernel replaces the app's table by this file at once. Raises CannotRun; then the table is as it was."""
    loaded = _nft("--file", str(rules))
    if loaded.code:
        raise CannotRun(f"nftables does not take {rules}", loaded.lines[:3])


def is_loaded(table: str, text: str) -> bool:
    """Are exactly the rules of this text in effect?"""
    return _comments(table) == _COMMENT.findall(text) != []


def remove(table: str) -> None:
    """Raises CannotRun if the table stays."""
    if is_installed() and _nft("list", "table", "inet", table).code == 0:
        removed = _nft("delete", "table", "inet", table)
        if removed.code:
            raise CannotRun(
                f"nftables keeps the table inet {table}",
                removed.lines[:3],
                f"on the server: nft delete table inet {table}",
            )


def _comments(table: str) -> Optional[List[str]]:
    """Of its rules; None where the kernel has no such table, or nft gives no JSON."""
    shown = _nft("--json", "list", "table", "inet", table) if is_installed() else None
    if shown is None or shown.code:
        return None
    try:
        rows = json.loads(shown.output)["nftables"]
    except ValueError:  # the output holds nft's warnings as well
        return None
    return [row["rule"].get("comment", "") for row in rows if "rule" in row]


def _nft(*arguments: str) -> Ran:
    return run([NFT, *arguments], _ANSWER_S)
