"""Makes a patch from one file to another, in one of three ways. Prints the costs as JSON.

`python deltas.py teal|zstd|bsdiff OLD NEW` runs in an environment that has the two libraries.
"""

import bz2
import io
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

Way = tuple[Callable[[bytes, bytes], bytes], Callable[[Path, bytes, int], bytes]]


def teal() -> Way:
    from teal.sending import delta
    from teal_host.wire import patch

    def make(old: bytes, new: bytes) -> bytes:
        return bz2.compress(b"".join(delta.make(old, new)))

    def apply(old: Path, packed: bytes, size: int) -> bytes:
        with old.open("rb") as base:
            return b"".join(patch.apply(io.BytesIO(bz2.decompress(packed)), base, size))

    return make, apply


def zstd() -> Way:
    """Uses the older file as prefix, with the long-distance matcher. Without the matcher, zstd gains little."""
    from backports import zstd as library  # type: ignore[import-not-found]

    options = {
        library.CompressionParameter.compression_level: 3,
        library.CompressionParameter.enable_long_distance_matching: 1,
        library.CompressionParameter.window_log: 27,
        library.CompressionParameter.ldm_min_match: 32,
    }

    def make(old: bytes, new: bytes) -> bytes:
        base = library.ZstdDict(old, is_raw=True).as_prefix
        return bytes(library.compress(new, options=options, zstd_dict=base))

    def apply(old: Path, packed: bytes, size: int) -> bytes:
        limit = {library.DecompressionParameter.window_log_max: 27}
        base = library.ZstdDict(old.read_bytes(), is_raw=True).as_prefix
        return bytes(library.decompress(packed, zstd_dict=base, options=limit))

    return make, apply


def bsdiff() -> Way:
    import bsdiff4 as library  # type: ignore[import-not-found]

    return library.diff, lambda old, packed, size: library.patch(old.read_bytes(), packed)


def main(name: str, old: Path, new: Path) -> None:
    make, apply = {"teal": teal, "zstd": zstd, "bsdiff": bsdiff}[name]()
    before, after = old.read_bytes(), new.read_bytes()
    began = time.perf_counter()
    packed = make(before, after)
    made = time.perf_counter()
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    assert apply(old, packed, len(after)) == after
    applied = time.perf_counter() - made
    print(json.dumps({"bytes": len(packed), "made_s": made - began, "applied_s": applied, "memory_mb": memory_mb}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
