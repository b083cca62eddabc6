"""A key that may deploy one app and nothing else.

sshd lets it start one program (`restrict,command=…` in authorized_keys), sudo lets that user start just this program
with just these arguments, and the program is root's. The user `teal` has no password, and a home that is root's.
"""

import base64
import hashlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from teal_host import files, footprint
from teal_host.act import Act, Wanted, write
from teal_host.errors import CannotRun
from teal_host.footprint import Footprint
from teal_host.paths import HostPaths
from teal_host.preparations import account
from teal_host.preparations.base import Intent
from teal_host.run import run

USER = "teal"  # no app can have it: the grammar keeps this name
_VISUDO_S = 20.0


def acts(intent: Intent) -> Iterator[Act]:
    host, name = intent.app.host.paths, intent.app.name
    keys = _with(intent.footprint.keys, intent.key)
    if not keys:
        return
    if keys != intent.footprint.keys:  # first, so that destroy finds what is made for it
        says = f"let the key {fingerprint(keys[-1])} deploy {name}"
        yield Act(says, lambda: footprint.save(intent.app.paths, replace(footprint.load(intent.app.paths), keys=keys)))
    if account.find(USER) is None:
        yield Act(
            f"make the system user {USER}, for deploy keys", partial(account.add_user, USER, home(host), "/bin/sh")
        )
    rule = Wanted(intent.app.paths, sudo_rule(host, name), sudo_text(host, name, keys), 0o440)
    yield from write(rule, lambda: _checked(rule))
    everybody = {**_of_others(host, name), name: keys}
    yield from write(Wanted(intent.app.paths, authorized(host), authorized_text(host, everybody)))


def withdraw(host: HostPaths, app: str) -> None:
    """None of this app's keys is let in any more; with the last one, what was made for keys goes."""
    files.remove(sudo_rule(host, app))
    left = _of_others(host, app)
    if any(left.values()):
        files.write(authorized(host), authorized_text(host, left))
        return
    files.remove_tree(authorized(host).parent)
    account.remove_user(USER)


def fingerprint(key: str) -> str:
    """As OpenSSH shows it."""
    digest = hashlib.sha256(base64.b64decode(key.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


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
    return f'restrict,command="sudo -n {_command(host, app, key)}" {key}\n'


def _command(host: HostPaths, app: str, key: str) -> str:
    return f"{host.installed} --server --app {app} --key {in_hex(key)}"


def _with(keys: Sequence[str], key: Optional[str]) -> Tuple[str, ...]:
    known = {in_hex(one) for one in keys}
    return (*keys, key) if key and in_hex(key) not in known else tuple(keys)


def _of_others(host: HostPaths, app: str) -> "Dict[str, Sequence[str]]":
    others: List[Tuple[str, Footprint]] = list(footprint.others(host, app))
    return {name: told.keys for name, told in others}


def _checked(rule: Wanted) -> None:
    """A rule that sudo cannot read would lock everybody out of sudo, so sudo looks at it first."""
    rule.write()
    looked = run(["visudo", "-cf", str(rule.path)], _VISUDO_S)
    if looked.code:
        files.remove(rule.path)
        raise CannotRun("sudo does not understand the rule", looked.lines[-3:])
