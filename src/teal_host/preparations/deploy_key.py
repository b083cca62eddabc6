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

from teal_host.ground import files
from teal_host.ground.errors import BadRequest, CannotRun
from teal_host.ground.paths import AppPaths, HostPaths
from teal_host.ground.run import run
from teal_host.preparations import account
from teal_host.preparations.base import Intent
from teal_host.preparations.change import DesiredFile, SetupChange, write
from teal_host.state import footprint
from teal_host.state.footprint import Footprint
from teal_host.state.key_policy import fingerprint
from teal_host.wire.sources import CALLS

USER = "teal"  # no app can have it: the grammar keeps this name
_VISUDO_S = 20.0


def acts(intent: Intent) -> Iterator[SetupChange]:
    """Raises BadRequest for a key that cannot be let in, or is not."""
    host, name = intent.app.host.paths, intent.app.name
    keys = _wanted(intent)
    if keys != intent.footprint.keys:  # first, so that destroy finds what is made for it
        save = partial(_remember, intent.app.paths, keys)
        yield from (SetupChange(says, save) for says in _changes(intent.footprint.keys, keys, name))
    if keys and account.find(USER) is None:
        yield SetupChange(
            f"make the system user {USER}, for deploy keys", partial(account.add_user, USER, home(host), "/bin/sh")
        )
    if keys:
        yield from _let_in(intent, keys)
    elif os.path.lexists(sudo_rule(host, name)):
        yield SetupChange(
            f"remove {sudo_rule(host, name)} and what else was made for its keys", partial(withdraw, host, name)
        )


def _let_in(intent: Intent, keys: Sequence[str]) -> Iterator[SetupChange]:
    host, name = intent.app.host.paths, intent.app.name
    readable = account.Folder(authorized(host).parent, 0o750, USER, read_only=True)  # sshd reads it as this user
    yield from account.directory(intent, readable)
    rule = DesiredFile(intent.app.paths, sudo_rule(host, name), sudo_text(host, name, keys), 0o440)
    yield from write(rule, lambda: _checked(rule))
    others = _of_others(host, name)
    wanted = DesiredFile(intent.app.paths, authorized(host), authorized_text(host, {**others, name: keys}))
    before = authorized_text(host, {**others, name: intent.footprint.keys})
    yield from write(wanted, before=before)


def withdraw(host: HostPaths, app: str) -> None:
    """None of this app's keys is let in any more; with the last one, what was made for keys goes, and who is in.

    What apps share is held meanwhile.
    """
    files.remove(sudo_rule(host, app))
    left = _of_others(host, app)
    if any(left.values()):
        files.write(authorized(host), authorized_text(host, left))
        return
    files.remove_tree(authorized(host).parent)
    account.remove_user(USER)


def in_hex(key: str) -> str:
    """The same digest in letters that need no escape in sudoers."""
    return hashlib.sha256(base64.b64decode(key.split()[1])).hexdigest()


def home(host: HostPaths) -> Path:
    return host.root / "var/lib/teal"


def authorized(host: HostPaths) -> Path:
    return home(host) / ".ssh/authorized_keys"


def sudo_rule(host: HostPaths, app: str) -> Path:
    return host.root / "etc/sudoers.d" / f"teal-{app}"


def sudo_text(host: HostPaths, app: str, keys: Sequence[str]) -> str:
    """One exact command a key: no wildcard, no other argument."""
    head = f"# Written by `teal setup --deploy-key` of {app}.\n"
    return head + "".join(f"{USER} ALL=(root) NOPASSWD: {_command(host, app, key)}\n" for key in keys)


def authorized_text(host: HostPaths, keys: "Dict[str, Sequence[str]]") -> str:
    """Of all apps, because sshd reads one file a user."""
    head = "# Written by `teal setup --deploy-key`: each key may deploy one app and nothing else.\n"
    lines = [_line(host, app, key) for app in sorted(keys) for key in keys[app]]
    return head + "".join(lines)


def _line(host: HostPaths, app: str, key: str) -> str:
    """Who comes without Teal is told so in words; the server side hears of it as well, for its audit."""
    program = f"sudo -n {_command(host, app, key)}"
    teal = f"case $SSH_ORIGINAL_COMMAND in *{CALLS}*) exec {program};; esac"
    other = f"echo 'this key only deploys {app}, with teal' >&2; exec {program} </dev/null >/dev/null"
    return f'restrict,command="{teal}; {other}" {key}\n'


def _command(host: HostPaths, app: str, key: str) -> str:
    return f"{host.installed} --server --app {app} --key {in_hex(key)}"


def _wanted(intent: Intent) -> Tuple[str, ...]:
    keys, key = intent.footprint.keys, intent.key
    if intent.no_key:
        _refuse_unknown(keys, intent.no_key, intent.app.name)
        keys = tuple(one for one in keys if fingerprint(one) != intent.no_key)
    if key is None or in_hex(key) in map(in_hex, keys):
        return keys
    _refuse_bound(intent.app.host.paths, intent.app.name, key)
    return (*keys, key)


def _refuse_unknown(keys: Sequence[str], wanted: str, name: str) -> None:
    known = [fingerprint(key) for key in keys]
    if wanted not in known:
        raise BadRequest(f"the key {wanted} may not deploy {name}, so there is nothing to remove", known)


def _refuse_bound(host: HostPaths, name: str, key: str) -> None:
    """sshd goes by the first line that has the key, so a second one would never be reached."""
    for other, keys in _of_others(host, name).items():
        if in_hex(key) in map(in_hex, keys):
            raise BadRequest(
                f"the key {fingerprint(key)} deploys {other} already, and a key is bound to one app",
                hint=f"make another one: ssh-keygen -t ed25519 -f {name}-deploy",
            )


def _changes(before: Sequence[str], keys: Sequence[str], name: str) -> Iterator[str]:
    yield from (f"let the key {fingerprint(key)} deploy {name}" for key in keys if key not in before)
    yield from (f"let the key {fingerprint(key)} deploy {name} no more" for key in before if key not in keys)


def _remember(paths: AppPaths, keys: Tuple[str, ...]) -> None:
    footprint.save(paths, replace(footprint.load(paths), keys=keys))


def _of_others(host: HostPaths, app: str) -> "Dict[str, Sequence[str]]":
    others: List[Tuple[str, Footprint]] = list(footprint.others(host, app))
    return {name: told.keys for name, told in others}


def _checked(rule: DesiredFile) -> None:
    """A rule that sudo cannot read would lock everybody out of sudo, so sudo looks at it first."""
    rule.write()
    looked = run(["visudo", "-cf", str(rule.path)], _VISUDO_S)
    if looked.code:
        files.remove(rule.path)
        raise CannotRun("sudo does not understand the rule", looked.lines[-3:])
