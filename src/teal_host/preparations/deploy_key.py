"""A key that may deploy one app and nothing else.

sshd lets it start one program (`restrict,command=…` in authorized_keys), sudo lets that user start just this program
with just these arguments, and the program is root's. The user `teal` has no password, and a home that is root's.
"""

import base64
import hashlib
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Tuple

from teal_host.ground import files, trees
from teal_host.ground.errors import BadRequest, CannotRun
from teal_host.ground.paths import AppPaths, HostPaths
from teal_host.ground.run import run
from teal_host.preparations import account
from teal_host.preparations.base import KeyIntent
from teal_host.preparations.change import DesiredFile, SetupChange, write
from teal_host.state import footprint, key_places
from teal_host.state.disk_format import Unreadable
from teal_host.state.footprint import Footprint
from teal_host.state.key_policy import fingerprint
from teal_host.wire.grammar import KeyWord
from teal_host.wire.sources import CALLS

USER = "teal"  # no app can have it: the grammar keeps this name
_VISUDO_S = 20.0


def changes(intent: KeyIntent) -> Iterator[SetupChange]:
    """Raises BadRequest for a key that Teal cannot let in or revoke."""
    host, name = intent.app.host.paths, intent.app.name
    keys = _desired_keys(intent)
    yield from _agreed(intent, keys)  # first, so that destroy finds what later changes make
    if keys and account.find(USER) is None:
        yield SetupChange(
            f"make the system user {USER}, for deploy keys", partial(account.add_user, USER, home(host), "/bin/sh")
        )
    if keys:
        yield from _let_in(intent, keys)
    elif os.path.lexists(sudo_rule(host, name)) or _starts(host, name) in _text(authorized(host)):
        yield SetupChange(
            f"remove {sudo_rule(host, name)} and whatever else only its keys needed", partial(withdraw, host, name)
        )


def _let_in(intent: KeyIntent, keys: Sequence[str]) -> Iterator[SetupChange]:
    host, name = intent.app.host.paths, intent.app.name
    readable = account.Folder(authorized(host).parent, 0o750, USER, read_only=True)  # sshd reads it as this user
    yield from account.directory(intent.app.paths, readable)
    rule = DesiredFile(intent.app.paths, sudo_rule(host, name), sudo_text(host, name, keys), 0o440)
    yield from write(rule, lambda: _checked(rule))
    desired = DesiredFile(intent.app.paths, authorized(host), _authorized_with(host, name, keys))
    before = _text(authorized(host)) if _is_cut(intent) else _authorized_with(host, name, intent.footprint.keys)
    yield from write(desired, before=before)


def _authorized_with(host: HostPaths, app: str, keys: Sequence[str]) -> str:
    """Where the footprint of another app cannot be read, the lines of the other apps stay as they are: nothing of
    another app stands in the way of a revocation.
    """
    try:
        return authorized_text(host, {**_keys_of_others(host, app), app: keys})
    except Unreadable:
        others = [line for line in _text(authorized(host)).splitlines(keepends=True) if _starts(host, app) not in line]
        return "".join([*others, *(_line(host, app, key) for key in keys)])


def withdraw(host: HostPaths, app: str) -> None:
    """Revokes all keys of this app. With the server's last key the user goes, and whoever is logged in as that user.

    The caller holds the lock of what apps share.
    """
    files.remove(sudo_rule(host, app))
    remaining = _authorized_with(host, app, ())
    if _starts(host) in remaining:
        files.write(authorized(host), remaining)
        return
    trees.remove(authorized(host).parent)
    account.remove_user(USER)


def end_all(host: HostPaths, keys: Sequence[str]) -> None:
    """Of an app that is destroyed. The footprint goes on naming the keys, so that a destroy that was cut here finds
    them again.
    """
    for key in keys:
        key_places.end_all(host, in_hex(key))


def in_hex(key: str) -> str:
    """The digest of a fingerprint, in letters that need no escape in sudoers."""
    return hashlib.sha256(base64.b64decode(key.split()[1])).hexdigest()


def home(host: HostPaths) -> Path:
    return host.root / "var/lib/teal"


def authorized(host: HostPaths) -> Path:
    return home(host) / ".ssh/authorized_keys"


def sudo_rule(host: HostPaths, app: str) -> Path:
    return host.root / "etc/sudoers.d" / f"teal-{app}"


def sudo_text(host: HostPaths, app: str, keys: Sequence[str]) -> str:
    """One exact command for each key: no wildcard, no other argument."""
    head = f"# Written by `teal setup --deploy-key` of {app}.\n"
    return head + "".join(f"{USER} ALL=(root) NOPASSWD: {_command(host, app, key)}\n" for key in keys)


def authorized_text(host: HostPaths, keys: "Dict[str, Sequence[str]]") -> str:
    """The keys of all apps, because sshd reads one file for a user."""
    head = "# Written by `teal setup --deploy-key`: each key may deploy one app and nothing else.\n"
    lines = [_line(host, app, key) for app in sorted(keys) for key in keys[app]]
    return head + "".join(lines)


def _line(host: HostPaths, app: str, key: str) -> str:
    """Somebody without Teal gets an explanation. The server side runs then too, and writes its audit."""
    program = f"sudo -n {_command(host, app, key)}"
    teal = f"case $SSH_ORIGINAL_COMMAND in *{CALLS}*) exec {program};; esac"
    other = f"echo 'this key only deploys {app}, with teal' >&2; exec {program} </dev/null >/dev/null"
    return f'restrict,command="{teal}; {other}" {key}\n'


def _command(host: HostPaths, app: str, key: str) -> str:
    return f"{_starts(host, app)} {in_hex(key)}"


def _starts(host: HostPaths, app: str = "") -> str:
    """How the command of each key of this app begins; without an app, of each key."""
    return f"{host.installed} --server --app {app}" + (" --key" if app else "")


def _text(path: Path) -> str:
    return files.text_of(path) or ""


def _desired_keys(intent: KeyIntent) -> Tuple[str, ...]:
    keys, key = intent.footprint.keys, intent.key
    if intent.no_key:
        _check_is_known(intent, intent.no_key)
        keys = tuple(known for known in keys if fingerprint(known) != intent.no_key)
    if key is None or in_hex(key) in map(in_hex, keys):
        return keys
    _check_is_unbound(intent.app.host.paths, intent.app.name, key)
    return (*keys, key)


def _check_is_known(intent: KeyIntent, revoked: str) -> None:
    known = [fingerprint(key) for key in intent.footprint.keys]
    if revoked not in known and not _is_cut(intent):
        raise BadRequest(f"the key {revoked} may not deploy {intent.app.name}, so there is nothing to remove", known)


def _is_cut(intent: KeyIntent) -> bool:
    """Was an earlier revocation of this key cut? Then the footprint no longer names the key, and its line is left."""
    host, name, revoked = intent.app.host.paths, intent.app.name, intent.no_key
    if revoked is None or revoked in map(fingerprint, intent.footprint.keys):
        return False
    command = f"{_starts(host, name)} {_hex_of(revoked)}"
    return any(command in _text(path) for path in (sudo_rule(host, name), authorized(host)))


def _hex_of(shown: str) -> str:
    return base64.b64decode(f"{shown.partition(':')[2]}=").hex()


def _check_is_unbound(host: HostPaths, name: str, key: str) -> None:
    """sshd takes the first line with the key, so it would never reach a second line."""
    for other, keys in _keys_of_others(host, name).items():
        if in_hex(key) in map(in_hex, keys):
            raise BadRequest(
                f"the key {fingerprint(key)} deploys {other} already, and a key is bound to one app",
                hint=f"make another key: ssh-keygen -t ed25519 -f {name}-deploy",
            )


def _agreed(intent: KeyIntent, keys: Tuple[str, ...]) -> Iterator[SetupChange]:
    """A revoked key comes first."""
    before, name, paths = intent.footprint.keys, intent.app.name, intent.app.paths
    if intent.no_key and _is_cut(intent):
        text = f"end what the revoked key {intent.no_key} still does"
        yield SetupChange(text, partial(key_places.end_all, intent.app.host.paths, _hex_of(intent.no_key)))
    for key in before:
        if key not in keys:
            text = f"revoke the key {fingerprint(key)}, which deploys {name}, and end what it does"
            yield SetupChange(text, partial(_revoke, intent.app.host.paths, paths, keys, key))
    for key in keys:
        if key not in before:
            save = partial(_remember, paths, keys, intent.may)
            yield SetupChange(f"let the key {fingerprint(key)} {_may(name, intent.may)}", save)
    yield from _changed(intent)


def _changed(intent: KeyIntent) -> Iterator[SetupChange]:
    """What a key may do that is known already."""
    known = {fingerprint(key): key for key in intent.footprint.keys}
    digest = fingerprint(intent.key) if intent.key else ""
    was = intent.footprint.may.get(digest, ())
    if digest in known and was != intent.may:
        name, keys = intent.app.name, intent.footprint.keys
        text = f"let the key {digest} {_may(name, intent.may)}; until now: {_may(name, was)}"
        yield SetupChange(text, partial(_rebind, intent, keys, known[digest]))


def _may(name: str, words: Sequence[str]) -> str:
    return f"do this with {name} and nothing else: {', '.join(words)}" if words else f"deploy {name}"


def _remember(paths: AppPaths, keys: Tuple[str, ...], may: Tuple[KeyWord, ...] = ()) -> None:
    """`may` is of the keys that are new."""
    before = footprint.load(paths)
    words = {**{fingerprint(key): may for key in keys if key not in before.keys and may}, **before.may}
    stay = {digest: words[digest] for digest in map(fingerprint, keys) if digest in words}
    footprint.save(paths, replace(before, keys=keys, may=stay))


def _rebind(intent: KeyIntent, keys: Tuple[str, ...], key: str) -> None:
    """As if the key were revoked and let in again, so that nothing goes on that it may no longer do."""
    host, paths = intent.app.host.paths, intent.app.paths
    _revoke(host, paths, tuple(known for known in keys if known != key), key)
    _remember(paths, keys, intent.may)


def _revoke(host: HostPaths, paths: AppPaths, keys: Tuple[str, ...], key: str) -> None:
    """The footprint comes first, so that a server side that begins meanwhile refuses."""
    _remember(paths, keys)
    key_places.end_all(host, in_hex(key))


def _keys_of_others(host: HostPaths, app: str) -> "Dict[str, Sequence[str]]":
    others: List[Tuple[str, Footprint]] = list(footprint.others(host, app))
    return {name: theirs.keys for name, theirs in others}


def _checked(rule: DesiredFile) -> None:
    """A rule that sudo cannot read would lock everybody out of sudo, so visudo checks the rule at once."""
    rule.write()
    checked = run(["visudo", "-cf", str(rule.path)], _VISUDO_S)
    if checked.code:
        files.remove(rule.path)
        raise CannotRun("sudo does not understand the rule", checked.lines[-3:])
