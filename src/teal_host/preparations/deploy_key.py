"""A key, or the CA of certificates, that may deploy one app and nothing else.

sshd lets it start one program (`restrict,command=…` in authorized_keys), sudo lets that user start just this program
with just these arguments, and the program is root's. The user `teal` has no password, and a home that is root's.
"""

import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Dict, Iterator, List, Mapping, Sequence, Set, Tuple

from teal_host.ground import files, trees
from teal_host.ground.errors import BadRequest, CannotRun
from teal_host.ground.paths import AppPaths, HostPaths
from teal_host.ground.run import run
from teal_host.preparations import account
from teal_host.preparations.base import KeyIntent
from teal_host.preparations.change import DesiredFile, SetupChange, write
from teal_host.state import footprint, key_places
from teal_host.state.deploy_keys import DeployKey, hex_of
from teal_host.state.disk_format import Unreadable
from teal_host.state.footprint import Footprint
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


def _let_in(intent: KeyIntent, keys: Sequence[DeployKey]) -> Iterator[SetupChange]:
    host, name = intent.app.host.paths, intent.app.name
    readable = account.Folder(authorized(host).parent, 0o750, USER, read_only=True)  # sshd reads it as this user
    yield from account.directory(intent.app.paths, readable)
    rule = DesiredFile(intent.app.paths, sudo_rule(host, name), sudo_text(host, name, keys), 0o440)
    yield from write(rule, lambda: _checked(rule))
    desired = DesiredFile(intent.app.paths, authorized(host), _authorized_with(host, name, keys))
    is_cut = any(map(partial(_cut, intent), _named(intent)))
    before = _text(authorized(host)) if is_cut else _authorized_with(host, name, intent.footprint.deploy_keys)
    yield from write(desired, before=before)


def _authorized_with(host: HostPaths, app: str, keys: Sequence[DeployKey]) -> str:
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


def end_all(host: HostPaths, keys: Sequence[DeployKey]) -> None:
    """Of an app that is destroyed. The footprint goes on naming the keys, so that a destroy that was cut here finds
    them again.
    """
    for key in keys:
        key_places.end_all(host, key.word)


def home(host: HostPaths) -> Path:
    return host.root / "var/lib/teal"


def authorized(host: HostPaths) -> Path:
    return home(host) / ".ssh/authorized_keys"


def sudo_rule(host: HostPaths, app: str) -> Path:
    return host.root / "etc/sudoers.d" / f"teal-{app}"


def sudo_text(host: HostPaths, app: str, keys: Sequence[DeployKey]) -> str:
    """One exact command for each key: no wildcard, no other argument."""
    head = f"# Written by `teal setup --deploy-key` of {app}.\n"
    return head + "".join(f"{USER} ALL=(root) NOPASSWD: {_command(host, app, key)}\n" for key in keys)


def authorized_text(host: HostPaths, keys: "Mapping[str, Sequence[DeployKey]]") -> str:
    """The keys of all apps, because sshd reads one file for a user."""
    head = "# Written by `teal setup --deploy-key`: each key may deploy one app and nothing else.\n"
    lines = [_line(host, app, key) for app in sorted(keys) for key in keys[app]]
    return head + "".join(lines)


def _line(host: HostPaths, app: str, key: DeployKey) -> str:
    """Somebody without Teal gets an explanation. The server side runs then too, and writes its audit.

    With `cert-authority` sshd takes certificates that the key has signed, and no longer the key itself.
    """
    of_ca = f'cert-authority,principals="{",".join(key.principals)}",' if key.principals else ""
    program = f"sudo -n {_command(host, app, key)}"
    teal = f"case $SSH_ORIGINAL_COMMAND in *{CALLS}*) exec {program};; esac"
    other = f"echo 'this key only deploys {app}, with teal' >&2; exec {program} </dev/null >/dev/null"
    return f'{of_ca}restrict,command="{teal}; {other}" {key.public}\n'


def _command(host: HostPaths, app: str, key: DeployKey) -> str:
    return f"{_starts(host, app)} {key.word}"


def _starts(host: HostPaths, app: str = "") -> str:
    """How the command of each key of this app begins; without an app, of each key."""
    return f"{host.installed} --server --app {app}" + (" --key" if app else "")


def _text(path: Path) -> str:
    return files.text_of(path) or ""


def _desired_keys(intent: KeyIntent) -> Tuple[DeployKey, ...]:
    keys, key = intent.footprint.deploy_keys, intent.key
    if intent.no_key:
        _check_is_known(intent, intent.no_key)
        keys = tuple(known for known in keys if known.fingerprint != intent.no_key)
    if key is None:
        return keys
    same = [known for known in keys if known.is_same_key(key)]
    _check_is_free(intent, key, same)
    given = replace(key, public=same[0].public) if same else key
    return tuple(given if known in same else known for known in (keys if same else (*keys, key)))


def _check_is_known(intent: KeyIntent, revoked: str) -> None:
    known = [key.fingerprint for key in intent.footprint.deploy_keys]
    if revoked not in known and not _cut(intent, revoked):
        raise BadRequest(f"the key {revoked} may not deploy {intent.app.name}, so there is nothing to remove", known)


def _named(intent: KeyIntent) -> List[str]:
    return [*([intent.no_key] if intent.no_key else []), *([intent.key.fingerprint] if intent.key else [])]


def _cut(intent: KeyIntent, revoked: str) -> Set[str]:
    """The words of this key, if an earlier revocation, or change of what it is for, was cut. Then the footprint no
    longer names the key, and its line is left.
    """
    host, name = intent.app.host.paths, intent.app.name
    if revoked in (key.fingerprint for key in intent.footprint.deploy_keys):
        return set()
    command = re.compile(f"{re.escape(_starts(host, name))} ({hex_of(revoked)}[0-9a-f-]*)")
    return {word for path in (sudo_rule(host, name), authorized(host)) for word in command.findall(_text(path))}


def _check_is_free(intent: KeyIntent, key: DeployKey, same: Sequence[DeployKey]) -> None:
    """sshd takes the first line with the key, or with the CA and a principal, so it would never reach a second line."""
    name = intent.app.name
    if any(bool(known.principals) != bool(key.principals) for known in same):
        raise BadRequest(
            f"a key is either a deploy key or the key of a CA, and {name} is deployed with {same[0]}",
            hint=f"use another key, or first: teal setup --remove-key {key.fingerprint}",
        )
    for other, keys in _keys_of_others(intent.app.host.paths, name).items():
        taken = next((known for known in keys if _collide(key, known)), None)
        if taken and key.principals and taken.principals:
            raise BadRequest(
                f"{taken} deploy {other} already, and a principal is bound to one app",
                hint=f"use another principal, such as {name}-deploy",
            )
        if taken:
            raise BadRequest(
                f"the key {key.fingerprint} deploys {other} already, and a key is bound to one app",
                hint=f"make another key: ssh-keygen -t ed25519 -f {name}-deploy",
            )


def _collide(key: DeployKey, known: DeployKey) -> bool:
    are_cas = key.principals and known.principals
    return key.is_same_key(known) and (not are_cas or not {*key.principals}.isdisjoint(known.principals))


def _agreed(intent: KeyIntent, keys: Tuple[DeployKey, ...]) -> Iterator[SetupChange]:
    """A revoked key comes first."""
    host, paths, name = intent.app.host.paths, intent.app.paths, intent.app.name
    before = {key.fingerprint: key for key in intent.footprint.deploy_keys}
    for named in _named(intent):
        for word in sorted(_cut(intent, named)):
            text = f"end what the revoked key {named} still does"
            yield SetupChange(text, partial(key_places.end_all, host, word))
    for revoked in before.keys() - {key.fingerprint for key in keys}:
        does = ("deploy", "they do") if before[revoked].principals else ("deploys", "it does")
        text = f"revoke {before[revoked]}, which {does[0]} {name}, and end what {does[1]}"
        yield SetupChange(text, partial(_revoke, host, paths, before[revoked]))
    for key in keys:
        was = before.get(key.fingerprint)
        if was is None:
            yield SetupChange(f"let {key} {_may(name, key)}", partial(_add, paths, key))
        elif was != key:
            until_now = _may(name, was) if was.principals == key.principals else f"{_may(name, was)}, as {was}"
            text = f"let {key} {_may(name, key)}; until now: {until_now}"
            yield SetupChange(text, partial(_rebind, host, paths, was, key))


def _may(name: str, key: DeployKey) -> str:
    return f"do this with {name} and nothing else: {', '.join(key.may)}" if key.may else f"deploy {name}"


def _add(paths: AppPaths, key: DeployKey) -> None:
    _remember(paths, [*footprint.load(paths).deploy_keys, key])


def _rebind(host: HostPaths, paths: AppPaths, was: DeployKey, key: DeployKey) -> None:
    """As if the key were revoked and let in again, so that nothing goes on that it may no longer do."""
    keys = footprint.load(paths).deploy_keys
    _revoke(host, paths, was)
    _remember(paths, [key if known == was else known for known in keys])


def _revoke(host: HostPaths, paths: AppPaths, key: DeployKey) -> None:
    """The footprint comes first, so that a server side that begins meanwhile refuses."""
    _remember(paths, [known for known in footprint.load(paths).deploy_keys if known != key])
    key_places.end_all(host, key.word)


def revoke(host: HostPaths, paths: AppPaths, fingerprint: str) -> None:
    """The line of sshd and the rule of sudo stay, as in a revocation that was cut. Both lead to a refusal."""
    for key in footprint.load(paths).deploy_keys:
        if key.fingerprint == fingerprint:
            _revoke(host, paths, key)


def _remember(paths: AppPaths, keys: Sequence[DeployKey]) -> None:
    footprint.save(paths, footprint.load(paths).with_keys(keys))


def _keys_of_others(host: HostPaths, app: str) -> "Dict[str, Sequence[DeployKey]]":
    others: List[Tuple[str, Footprint]] = list(footprint.others(host, app))
    return {name: theirs.deploy_keys for name, theirs in others}


def _checked(rule: DesiredFile) -> None:
    """A rule that sudo cannot read would lock everybody out of sudo, so visudo checks the rule at once."""
    rule.write()
    checked = run(["visudo", "-cf", str(rule.path)], _VISUDO_S)
    if checked.code:
        files.remove(rule.path)
        raise CannotRun("sudo does not understand the rule", checked.lines[-3:])
