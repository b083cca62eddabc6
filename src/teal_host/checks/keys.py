"""Deploy keys: what lets them in, as setup wrote it, and whether sudo and sshd agree to it."""

import shutil
from fnmatch import fnmatchcase
from typing import Dict, Iterator, List, Optional

from teal_host.checks.base import PROGRAM_S, Visit, drift, fault, ok, there, warning
from teal_host.ground.run import run
from teal_host.preparations import deploy_key
from teal_host.wire.reports import Finding

_SYSTEM_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin"


def check(visit: Visit) -> Iterator[Finding]:
    count = len(visit.footprint.keys)
    if not count:
        return
    fine = f"{count} {'key' if count == 1 else 'keys'} let in, as setup wrote it"
    yield from drift("deploy keys", deploy_key.acts(visit.intent), fine)
    yield _sudo()
    yield _sshd()


def _sudo() -> Finding:
    looked = run(["visudo", "-c"], PROGRAM_S)
    if looked.code:
        hint = "mend that file as root, with visudo -f; sudo lets nobody in meanwhile"
        return fault("sudo", "sudo does not understand its rules, so no deploy key works", hint, looked.lines[-3:])
    return ok("sudo", "its rules can be read")


def _sshd() -> Finding:
    program = shutil.which("sshd", path=_SYSTEM_PATH)
    if program is None:
        return warning("sshd", "there is no OpenSSH server that could be asked")
    asked = run([program, "-T", "-C", f"user={deploy_key.USER},host=localhost,addr=127.0.0.1"], PROGRAM_S)
    if asked.code:
        return warning("sshd", "it does not say what it would do", there("sshd -T"), asked.lines[-2:])
    return sshd(asked.lines)


def sshd(lines: List[str]) -> Finding:
    """By what `sshd -T` prints: would it let the user of the deploy keys in, with a key of its own file?"""
    told: Dict[str, List[str]] = {}
    for line in lines:
        name, _, value = line.partition(" ")
        told.setdefault(name.lower(), []).extend(value.split())
    wrong = _in_the_way(told)
    if wrong:
        hint = f"change it in /etc/ssh/sshd_config, then {there('systemctl reload ssh')}"
        return fault("sshd", f"no deploy key works: {wrong}", hint)
    return ok("sshd", f"lets the user {deploy_key.USER} in")


def _in_the_way(told: Dict[str, List[str]]) -> Optional[str]:
    user = deploy_key.USER
    for name in ("denyusers", "denygroups"):
        if _named(told.get(name, [])):
            return f"{_WRITTEN[name]} of sshd names {user}"
    for name in ("allowusers", "allowgroups"):
        if told.get(name) and not _named(told[name]):
            return f"{_WRITTEN[name]} of sshd does not name {user}"
    if told.get("pubkeyauthentication") == ["no"]:
        return "sshd takes no keys (PubkeyAuthentication no)"
    files = told.get("authorizedkeysfile", [".ssh/authorized_keys"])
    if not any(name.endswith(".ssh/authorized_keys") for name in files):
        return f"sshd does not read .ssh/authorized_keys (AuthorizedKeysFile {' '.join(files)})"
    return None


_WRITTEN = {
    "denyusers": "DenyUsers",
    "denygroups": "DenyGroups",
    "allowusers": "AllowUsers",
    "allowgroups": "AllowGroups",
}


def _named(patterns: List[str]) -> bool:
    """The user and its group have one name. From where it may come, `user@host`, depends on who asks."""
    return any(fnmatchcase(deploy_key.USER, pattern.split("@")[0].lstrip("!")) for pattern in patterns)
