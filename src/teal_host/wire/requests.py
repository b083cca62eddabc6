"""What a client says: one request, and what may follow it."""

from dataclasses import field
from typing import Annotated, Any, Optional, Tuple, Type

from teal_host.wire.app import AppSpec
from teal_host.wire.grammar import (
    MOST_PRINCIPALS,
    AppName,
    Color,
    DeployId,
    EnvName,
    KeyDigest,
    KeyWord,
    Principal,
    PublicKey,
    ReleaseReference,
    Word,
    between,
)
from teal_host.wire.manifest import Manifest, Needs, Origin
from teal_host.wire.site_grammar import Domain
from teal_host.wire.uploads import Block, Part
from teal_host.wire.upward import MOST_ITEMS, Text, at_most
from teal_host.wire.values import dataclass

Seconds = Annotated[float, between(0, 86_400)]


@dataclass(frozen=True)
class Deploy:
    """`evict`: everything of the app ends before the release starts."""

    spec: AppSpec
    manifest: Manifest
    origin: Origin
    id: DeployId
    wait_s: Seconds = 0.0
    dry_run: bool = False
    needs: Needs = field(default_factory=Needs)
    evict: bool = False


@dataclass(frozen=True)
class Intended:
    """What the Deploy will ask for, sent while the build runs. The server side replies only to reject it."""

    spec: AppSpec


@dataclass(frozen=True)
class Rollback:
    app: AppName
    origin: Origin
    id: DeployId
    release: Optional[ReleaseReference] = None
    wait_s: Seconds = 0.0


@dataclass(frozen=True)
class Status:
    app: AppName


@dataclass(frozen=True)
class Releases:
    app: AppName


@dataclass(frozen=True)
class Logs:
    app: AppName
    color: Optional[Color] = None
    lines: Annotated[int, between(0, 100_000)] = 100
    follow: bool = False


@dataclass(frozen=True)
class Destroy:
    """`dry_run`: say how much would go, and remove nothing. `keep_data`: the data stays, and the user that owns it."""

    app: AppName
    origin: Origin
    wait_s: Seconds = 0.0
    dry_run: bool = False
    keep_data: bool = False


@dataclass(frozen=True)
class Setup:
    """Prepare the server for the app. The server side replies with a Plan, and changes nothing before Commit.

    `key`: a public key that may deploy this app from now on, and nothing else. `no_key`: the digest of a key to revoke.
    `may`: the commands that `key` is for; all that a deploy key can do, where none is named. `principals`: `key` is the
    key of a CA, whose certificates for these may deploy the app.
    """

    spec: AppSpec
    origin: Origin
    key: Optional[PublicKey] = None
    no_key: Optional[KeyDigest] = None
    dry_run: bool = False
    wait_s: Seconds = 0.0
    may: Tuple[KeyWord, ...] = ()
    principals: Annotated[Tuple[Principal, ...], at_most(MOST_PRINCIPALS)] = ()


@dataclass(frozen=True)
class Doctor:
    """`now` is the client's clock, in seconds since 1970."""

    spec: AppSpec
    now: float


@dataclass(frozen=True)
class EnvSet:
    """The value follows as Input, so that it is never part of a message that could be shown."""

    app: AppName
    name: EnvName
    origin: Origin
    wait_s: Seconds = 0.0


@dataclass(frozen=True)
class EnvUnset:
    app: AppName
    name: EnvName
    origin: Origin
    wait_s: Seconds = 0.0


@dataclass(frozen=True)
class EnvList:
    app: AppName


@dataclass(frozen=True)
class Exec:
    """Run one command as the app would: its user, environment and data, in the live release's directory.

    Answered by More when it has been started, then Output, more More, and Exited.
    """

    app: AppName
    command: Tuple[Word, ...]
    origin: Origin


@dataclass(frozen=True)
class Input:
    """Bytes for a command's standard input, or a secret value, in the frame's body; `last` closes it.

    The client sends at most as many bytes as More allows. An empty Input says that the client is still connected.
    """

    last: bool = False


@dataclass(frozen=True)
class Enough:
    """The client needs no more. It says so, because multipass swallows the end of a pipe."""


@dataclass(frozen=True)
class Commit:
    """The point of no return for the client: the server side finishes alone from here."""


@dataclass(frozen=True)
class NameSeen:
    """`leads`: at each of its addresses the name leads to the server. `why`: what does not."""

    name: Domain
    leads: bool
    why: Text = ""


@dataclass(frozen=True)
class NamesSeen:
    """The reply to AskNames."""

    names: Annotated[Tuple[NameSeen, ...], at_most(MOST_ITEMS)] = ()


REQUESTS: Tuple[Type[Any], ...] = (
    Intended, Deploy, Rollback, Status, Releases, Logs, Destroy, Setup, Doctor, EnvSet, EnvUnset, EnvList, Exec,
)  # fmt: skip
MIDDLE: Tuple[Type[Any], ...] = (Part, Block, Commit, NamesSeen, Input, Enough)
