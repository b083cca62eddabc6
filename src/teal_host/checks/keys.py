"""Deploy keys: the files that let them in, as setup wrote them, and whether sudo and sshd accept them."""

import shutil
from fnmatch import fnmatchcase
from typing import Dict, Iterator, List, Optional, Sequence

from teal_host.checks.base import PROGRAM_S, Visit, drift, fault, ok, warning
from teal_host.ground.remedies import MEND, on_server
from teal_host.ground.run import SYSTEM_PATH, run
from teal_host.preparations import deploy_key
from teal_host.state.deploy_keys import DeployKey
from teal_host.wire.reports import Finding


def check(visit: Visit) -> Iterator[Finding]:
    keys = visit.footprint.deploy_keys
    if not keys:
        return
    cas = sum(bool(key.principals) for key in keys)
    who = (
        f"{_count(len(keys) - cas, 'key')} and the certificates of {_count(cas, 'CA')}"
        if cas
        else _count(len(keys), "key")
    )
    yield from drift("deploy keys", deploy_key.changes(visit.intent.of_keys), f"{who} may deploy, as setup wrote it")
    if visit.agreed.keys is None:
        yield warning("deploy keys", "no limit is agreed for the waits and releases of a key's deploys", "teal setup")
    yield _sudo()
    yield _sshd(keys)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _sudo() -> Finding:
    checked = run(["visudo", "-c"], PROGRAM_S)
    if checked.code:
        return fault("sudo", "sudo does not understand its rules", MEND, checked.lines[-3:])
    return ok("sudo", "sudo understands its rules")


def _sshd(keys: Sequence[DeployKey]) -> Finding:
    program = shutil.which("sshd", path=SYSTEM_PATH)
    if program is None:
        return warning("sshd", "this server has no OpenSSH server that Teal can ask")
    printed = run([program, "-T", "-C", f"user={deploy_key.USER},host=localhost,addr=127.0.0.1"], PROGRAM_S)
    if printed.code:
        return warning("sshd", "sshd refuses its settings, and would not start again", MEND, printed.lines[-2:])
    return sshd(printed.lines, keys)


def sshd(lines: List[str], keys: Sequence[DeployKey]) -> Finding:
    """`lines` of `sshd -T`: would sshd let the user of the deploy keys in, with these keys of that user's own file?"""
    settings: Dict[str, List[str]] = {}
    for line in lines:
        name, _, value = line.partition(" ")
        settings.setdefault(name.lower(), []).extend(value.split())
    hint = f"change it in /etc/ssh/sshd_config or sshd_config.d, then {on_server('systemctl reload ssh')}"
    obstacle, refusals = _obstacle(settings), list(_refusals(settings, keys))
    if obstacle or refusals:
        return fault("sshd", f"no deploy key works: {obstacle}" if obstacle else "; ".join(refusals), hint)
    level = " ".join(settings.get("loglevel", []))
    if level in _LOGS_NO_LOGIN and any(key.principals for key in keys):
        return warning(
            "sshd", f"the audit names no certificate: sshd logs logins from LogLevel INFO on, not {level}", hint
        )
    return ok("sshd", f"sshd lets the user {deploy_key.USER} in")


def _obstacle(settings: Dict[str, List[str]]) -> Optional[str]:
    user = deploy_key.USER
    for name in ("denyusers", "denygroups"):
        if _names_user(settings.get(name, [])):
            return f"{_WRITTEN[name]} of sshd names {user}"
    for name in ("allowusers", "allowgroups"):
        if settings.get(name) and not _names_user(settings[name]):
            return f"{_WRITTEN[name]} of sshd does not name {user}"
    if settings.get("pubkeyauthentication") == ["no"]:
        return "sshd takes no keys (PubkeyAuthentication no)"
    files = settings.get("authorizedkeysfile", [".ssh/authorized_keys"])
    if not any(name.endswith(".ssh/authorized_keys") for name in files):
        return f"sshd does not read .ssh/authorized_keys (AuthorizedKeysFile {' '.join(files)})"
    return None


def _refusals(settings: Dict[str, List[str]], keys: Sequence[DeployKey]) -> Iterator[str]:
    """Which certificates come is not known, but for the signature of their CA."""
    accepted, by_cas = (settings.get(name) for name in ("pubkeyacceptedalgorithms", "casignaturealgorithms"))
    for key in keys:
        kind = key.public.split()[0]
        wanted, taken = _SIGNATURES.get(kind, (kind,)), by_cas if key.principals else accepted
        if taken and not {*wanted} & {*taken[0].split(",")}:
            option = "CASignatureAlgorithms" if key.principals else "PubkeyAcceptedAlgorithms"
            yield f"sshd refuses {key}: {option} has no {wanted[0]}"
        elif key.principals and accepted and "-cert-v01@" not in accepted[0]:
            yield f"sshd refuses {key}: PubkeyAcceptedAlgorithms has no certificates"


_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
_LOGS_NO_LOGIN = ("QUIET", "SILENT", "FATAL", "ERROR")  # of the first two words sshd shows the second for both
_WRITTEN = {
    "denyusers": "DenyUsers",
    "denygroups": "DenyGroups",
    "allowusers": "AllowUsers",
    "allowgroups": "AllowGroups",
}


def _names_user(patterns: List[str]) -> bool:
    """The user and its group have one name. Whether a host may connect, as in `user@host`, is not known here."""
    return any(fnmatchcase(deploy_key.USER, pattern.split("@")[0].lstrip("!")) for pattern in patterns)
