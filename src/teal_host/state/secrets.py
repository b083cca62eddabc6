"""The secrets of an app: the part of its environment that `teal env` keeps on the server and never shows.

One file holds the values that the next deploy takes, and the values that stored releases ran with, each set under its
version. So a rollback finds the values of its release. Values that no release needs are not stored.
"""

import hashlib
import hmac
import json
import secrets
from dataclasses import field, replace
from typing import Any, Dict, Iterator, Mapping, Set

from teal_host.ground import files
from teal_host.ground.errors import BadRequest, NeedsHuman
from teal_host.ground.paths import AppPaths
from teal_host.state import releases
from teal_host.state.disk_format import DiskFormat, Unreadable
from teal_host.state.releases import Record
from teal_host.wire.app import MOST_HANDED_OVER, AppSpec
from teal_host.wire.grammar import EnvName, EnvValue, EnvVersion, Token
from teal_host.wire.typed import Mistake
from teal_host.wire.values import dataclass


@dataclass(frozen=True)
class StoredSecrets:
    """`current` is the version that the next deploy takes; empty when nothing is set. `since` says when each name was
    set, in UTC.

    `key` goes into every version, so that nobody can try out values against a version.
    """

    key: Token = field(repr=False)
    current: EnvVersion = ""
    since: Dict[EnvName, str] = field(default_factory=dict)
    versions: Dict[EnvVersion, Dict[EnvName, EnvValue]] = field(default_factory=dict, repr=False)

    def mistakes(self) -> Iterator[Mistake]:
        if set(self.since) != set(self.values) or (self.current and self.current not in self.versions):
            yield Mistake("current", "is not whole")

    @property
    def values(self) -> Dict[str, str]:
        return self.versions.get(self.current, {})


_FORMAT = DiskFormat(StoredSecrets, 2)


def load(paths: AppPaths) -> StoredSecrets:
    """Read the file. Raises Unreadable, whose text quotes nothing of the file."""
    try:
        return _FORMAT.read(paths.secrets)
    except FileNotFoundError:
        return StoredSecrets(secrets.token_hex(16))
    except Unreadable as error:
        if not error.newer:
            error.evidence = ()
            error.hint = "restore it; or remove it, set each name again with teal env set, and deploy"
        raise


def save(paths: AppPaths, stored: StoredSecrets) -> None:
    """Write the file without versions that nobody needs. Remove the file when no version remains."""
    needed = set(stored.versions) if _may_be_needed(paths) else _needed(paths) | {stored.current}
    slim = replace(stored, versions={name: stored.versions[name] for name in stored.versions if name in needed})
    if not slim.versions:
        files.remove(paths.secrets)
        return
    _FORMAT.write(paths.secrets, slim)


def prune(paths: AppPaths) -> None:
    """Remove values together with the last release that ran with them."""
    if paths.secrets.exists() and not _may_be_needed(paths):
        stored = load(paths)
        if set(stored.versions) - _needed(paths) - {stored.current}:
            save(paths, stored)


def with_value(stored: StoredSecrets, name: str, value: str, now: str) -> StoredSecrets:
    return _turned_to(stored, {**stored.values, name: value}, {**stored.since, name: now})


def without(stored: StoredSecrets, name: str) -> StoredSecrets:
    values = {key: value for key, value in stored.values.items() if key != name}
    return _turned_to(stored, values, {key: since for key, since in stored.since.items() if key != name})


def values_of(paths: AppPaths, entry: Record) -> Dict[str, str]:
    """The values that the release runs with, also after a rollback to it. Raises NeedsHuman if they are lost."""
    if not entry.secrets:
        return {}
    values = load(paths).versions.get(entry.secrets)
    if values is None:
        text = f"{paths.secrets} does not have the environment that {entry.release} ran with any more"
        raise NeedsHuman(text, hint="restore it, or set each name again with teal env set, and deploy")
    return values


def environment_version(stored: StoredSecrets, declared: Mapping[str, str]) -> str:
    """A short name for the whole environment. Nobody can guess a value of `teal env` from it."""
    if not stored.current:
        return releases.env_version(dict(declared))
    return _keyed(stored.key, {"teal.toml": dict(declared), "teal env": stored.values})[:8]


def check(paths: AppPaths, spec: AppSpec) -> None:
    """Raises BadRequest for a name that is declared twice, and for an environment that Linux starts no program with."""
    stored = load(paths)
    twice = sorted(set(stored.values) & {*spec.run.env, *spec.run.own_env})
    if twice:
        part = spec.run.own_env.get(twice[0], "env")
        raise BadRequest(
            f"{', '.join(twice)}: both in [run] {part} of teal.toml and in teal env; one place for one name",
            hint=f"take it out of teal.toml, or: teal env unset {twice[0]}",
        )
    check_size(stored, spec.run.handed_over)


def check_size(stored: StoredSecrets, more: int = 0) -> None:
    size = more + sum(len(text.encode()) for text in (*stored.values, *stored.values.values()))
    if size > MOST_HANDED_OVER:
        text = f"command, [run] env and teal env are together {size:,} bytes; at most {MOST_HANDED_OVER:,} can be"
        raise BadRequest(text, hint="keep large values in files, and their paths in the environment")


def _turned_to(stored: StoredSecrets, values: Dict[str, str], since: Dict[str, str]) -> StoredSecrets:
    """The same values have the same version. So a value that is set back is no change to deploy."""
    version = _keyed(stored.key, values)[:16] if values else ""
    versions = {**stored.versions, version: values} if values else stored.versions
    return replace(stored, current=version, since=since, versions=versions)


def _keyed(key: str, value: Any) -> str:
    return hmac.new(key.encode(), json.dumps(value, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def _needed(paths: AppPaths) -> Set[str]:
    """The versions that releases need which can start again."""
    return {entry.secrets for entry in releases.load(paths) if paths.release(entry.release).is_dir()} - {""}


def _may_be_needed(paths: AppPaths) -> bool:
    """Does a release whose record cannot be read need versions that nobody can name?"""
    return any(paths.release(entry.release).is_dir() for entry in releases.load_unreadable(paths))
