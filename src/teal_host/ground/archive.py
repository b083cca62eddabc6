"""The server side as one file that Python runs: made here, put there by setup, known by the digest of its sources.

The file ends with the archive's comment, the version and the digest: stage 0 reads the digest without opening the
archive. It says which sources these are, not that nobody changed them; for that the file belongs to root and nobody
else may write it.
"""

import importlib.util
import io
import marshal
import re
import sys
import zipfile
from pathlib import Path
from typing import Dict, Iterator, Optional, Tuple

from teal_host.wire import sources as wire

_PACKAGE = "teal_host"
_SHEBANG = f"#!{wire.PYTHON} -IS\n".encode()  # isolated from whatever a user has set or installed
_MAIN = f"import sys\nfrom {_PACKAGE}.start import start\nsys.exit(start())\n"
_UNCHECKED_HASH = (0b01).to_bytes(4, "little")  # PEP 552: the code is taken as it is, the source beside is not asked
_COMMENT = re.compile(rb"(?:([0-9][0-9A-Za-z.+-]{0,39}) )?([0-9a-f]{64})\Z")


def pack(sources: Dict[str, str]) -> bytes:
    """A zip with a first line that runs it. Beside each source stands its code, compiled by the Python that runs now.

    Another Python does not know that code and takes the source, so an upgrade makes it slower and breaks nothing.
    """
    made = io.BytesIO()
    made.write(_SHEBANG)
    with zipfile.ZipFile(made, "a") as file:
        file.comment = f"{wire.VERSION} {wire.digest(sources)}".encode()
        for path, content in [("__main__.py", _MAIN.encode()), *_members(sources)]:
            file.writestr(_entry(path), content)
    return made.getvalue()


def sources() -> Dict[str, str]:
    """The table of the server side that runs now."""
    loader = getattr(sys.modules[_PACKAGE], "__loader__", None)
    through_the_pipe = getattr(loader, "table", None)
    if through_the_pipe is not None:
        return dict(through_the_pipe)
    archived = getattr(loader, "archive", None)
    files = _from_archive(Path(archived)) if archived else _from_folder(Path(__file__).parents[1])
    return {_module(path): wire.without_docstrings(text) for path, text in files}


def digest(path: Path) -> Optional[str]:
    """Of the sources that the archive was made from; None if there is no such archive."""
    comment = _comment(path)
    return comment[2].decode() if comment else None


def version(path: Path) -> str:
    """Which Teal made the archive; empty if that does not stand there, as before Teal wrote it down."""
    comment = _comment(path)
    return (comment[1] or b"").decode() if comment else ""


def _comment(path: Path) -> "Optional[re.Match[bytes]]":
    try:
        with path.open("rb") as file:
            file.seek(-128, io.SEEK_END)
            return _COMMENT.search(file.read())
    except OSError:
        return None


def _members(sources: Dict[str, str]) -> Iterator[Tuple[str, bytes]]:
    packages = {name.rpartition(".")[0] for name in sources} | {_PACKAGE}
    for name, text in sorted(sources.items()):
        path = name.replace(".", "/") + ("/__init__.py" if name in packages else ".py")
        source = text.encode()
        code = compile(text, path, "exec", dont_inherit=True)
        hashed = importlib.util.source_hash(source)
        yield path, source
        yield f"{path}c", importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + hashed + marshal.dumps(code)


def _entry(path: str) -> zipfile.ZipInfo:
    """Of no date, so that the same sources make the same archive. Code is read at every start, so it is not packed."""
    entry = zipfile.ZipInfo(path)
    entry.compress_type = zipfile.ZIP_STORED if path.endswith(".pyc") else zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _from_archive(path: Path) -> Iterator[Tuple[str, str]]:
    with zipfile.ZipFile(path) as file:
        for name in file.namelist():
            if name.startswith(f"{_PACKAGE}/") and name.endswith(".py"):
                yield name, file.read(name).decode()


def _from_folder(folder: Path) -> Iterator[Tuple[str, str]]:
    """As in a checkout."""
    for path in folder.rglob("*.py"):
        yield path.relative_to(folder.parent).as_posix(), path.read_text(encoding="utf-8")


def _module(path: str) -> str:
    """`teal_host/wire/__init__.py` is teal_host.wire."""
    return re.sub(r"(/__init__)?\.py\Z", "", path).replace("/", ".")
