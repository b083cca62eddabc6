"""The messages of an upload: which files are missing, and the parts that bring them."""

from typing import Annotated, Literal, Optional, Tuple

from teal_host.wire.grammar import Digest, FilePath, ReleaseName, between
from teal_host.wire.manifest import MAX_FILES, Count
from teal_host.wire.upward import MOST_ITEMS, at_most
from teal_host.wire.values import dataclass

Packing = Literal["plain", "zlib", "bz2", "lzma"]
FileNumber = Annotated[int, between(0, MAX_FILES)]

_MOST = 9_000_000_000_000_000  # JSON has no larger whole numbers


@dataclass(frozen=True)
class Part:
    """The next `count` missing files, in blocks: packed whole, or one file as a patch to a base.

    Of a partial file only the rest comes.
    """

    count: Annotated[int, between(1, MAX_FILES)]
    packing: Packing
    base: Optional[Digest] = None


@dataclass(frozen=True)
class Block:
    """The next bytes of the part, in the frame's body; `last` closes it."""

    last: bool = False


@dataclass(frozen=True)
class PatchBase:
    """A stored file of an earlier release, at the path of a missing file."""

    path: FilePath
    sha256: Digest
    size: Count


@dataclass(frozen=True)
class PartialFile:
    """A missing file of which an interrupted upload has left `bytes` bytes. `number`: its place in the manifest."""

    number: FileNumber
    bytes: Count


@dataclass(frozen=True)
class MissingFiles:
    """The missing files, by their place in the manifest, and the bases that patches can start from, the best first.

    The client sends the parts in that order, then Commit. If a file did not arrive intact, the server side ignores that
    Commit, sends MissingFiles again, and the client sends what is missing then.
    """

    release: ReleaseName
    missing: Annotated[Tuple[FileNumber, ...], at_most(MAX_FILES)] = ()
    begun: Annotated[Tuple[PartialFile, ...], at_most(MAX_FILES)] = ()
    bases: Annotated[Tuple[PatchBase, ...], at_most(MOST_ITEMS)] = ()
    packings: Annotated[Tuple[Packing, ...], at_most(16)] = ("plain", "zlib")


@dataclass(frozen=True)
class Taken:
    """`bytes`: how many bytes of blocks have arrived in all."""

    bytes: Annotated[int, between(0, _MOST)]
