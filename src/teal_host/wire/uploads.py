"""What both sides say while an artifact travels: what is missing, and the parts that bring it."""

from typing import Annotated, Literal, Optional, Tuple

from teal_host.wire.grammar import Digest, FilePath, ReleaseName, between
from teal_host.wire.manifest import MAX_FILES, Count
from teal_host.wire.upward import MOST_ITEMS, at_most
from teal_host.wire.values import dataclass

Packing = Literal["plain", "zlib", "bz2", "lzma"]
Place = Annotated[int, between(0, MAX_FILES)]

_MOST = 9_000_000_000_000_000  # JSON has no larger whole numbers


@dataclass(frozen=True)
class Part:
    """The next `count` files of those that are missing, in blocks: packed whole, or one as a patch to a base.

    Of a file that was begun only the rest comes.
    """

    count: Annotated[int, between(1, MAX_FILES)]
    packing: Packing
    base: Optional[Digest] = None


@dataclass(frozen=True)
class Block:
    """The next bytes of the part, in the frame's body; `last` closes it."""

    last: bool = False


@dataclass(frozen=True)
class Base:
    """A file of an earlier release that is still here, of the same path as one that is missing."""

    path: FilePath
    sha256: Digest
    size: Count


@dataclass(frozen=True)
class Begun:
    """A missing file of which an upload that was cut has left so many bytes."""

    place: Place
    bytes: Count


@dataclass(frozen=True)
class Wanted:
    """What is missing of the artifact, by its place in the manifest, and what it can be made of, the best first.

    Answered by parts, in that order, and Commit. Asked again when something did not arrive as it should: that Commit
    counts for nothing, and the same follows for what is missing then.
    """

    release: ReleaseName
    missing: Annotated[Tuple[Place, ...], at_most(MAX_FILES)] = ()
    begun: Annotated[Tuple[Begun, ...], at_most(MAX_FILES)] = ()
    bases: Annotated[Tuple[Base, ...], at_most(MOST_ITEMS)] = ()
    packings: Annotated[Tuple[Packing, ...], at_most(16)] = ("plain", "zlib")


@dataclass(frozen=True)
class Taken:
    """So many bytes of blocks have arrived, in all."""

    bytes: Annotated[int, between(0, _MOST)]
