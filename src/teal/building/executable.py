"""What a program file is: a Linux program, a script, or something that Linux cannot start.

Teal reads of an ELF file only what the kernel and the loader read. It ignores the section headers: a program runs
without them, and reading a broken table of them might never end.
"""

import contextlib
import errno
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

_KERNEL_READS = 256  # bytes; in these a script must name its interpreter (binfmt_script)
_LONGEST_PATH = 4096
_MOST_SEGMENTS = 1024  # the kernel reads 64 KiB of them
_MOST_DYNAMIC = 64 * 1024  # bytes; a real table has some hundred
_MOST_VERSIONS = 10_000
_MOST_SECTIONS = 1000
_MOST_NAMES = 256 * 1024
_SHF_COMPRESSED = 0x800
_WEAK = 2  # VER_FLG_WEAK: the loader only warns when the version is missing
_WITHOUT_NUMBER = {b"GLIBC_ABI_DT_RELR": (2, 36)}

_MACHINES = {
    "EM_X86_64": "x86_64",
    "EM_386": "i686",
    "EM_AARCH64": "aarch64",
    "EM_ARM": "arm",
    "EM_RISCV": "riscv",
    "EM_PPC64": "ppc64",
    "EM_S390": "s390",
    "EM_LOONGARCH": "loongarch",
    "EM_MIPS": "mips",
}
_BY_BITS = {("x86_64", 32): "x32", ("riscv", 64): "riscv64", ("s390", 64): "s390x", ("loongarch", 64): "loongarch64"}
_OTHER_SYSTEMS = {
    "ELFOSABI_FREEBSD": "FreeBSD",
    "ELFOSABI_NETBSD": "NetBSD",
    "ELFOSABI_OPENBSD": "OpenBSD",
    "ELFOSABI_SOLARIS": "Solaris",
}
_NOT_STARTED = {"ET_REL": "an object file (.o), which is not linked yet", "ET_CORE": "a core dump"}
_BEGINNINGS = (
    (rb"MZ", "is a Windows program"),
    (rb"\xcf\xfa\xed\xfe|\xce\xfa\xed\xfe", "is a macOS program"),
    (rb"\xca\xfe\xba\xbe\0\0\0[\x01-\x1f]", "is a macOS program"),  # for several machines
    (rb"\xca\xfe\xba\xbe", "is a Java class"),
    (rb"PK\x03\x04", "is an archive (zip or jar)"),
    (rb"\x1f\x8b", "is compressed (gzip)"),
    (rb"\(\xb5/\xfd", "is compressed (zstd)"),
    (rb"\xfd7zXZ", "is compressed (xz)"),
    (rb"!<arch>\n", "is a library (.a) or a package (.deb)"),
    (rb"\0asm", "is WebAssembly"),
    (rb"\xef\xbb\xbf#!", 'has a byte order mark before its "#!"'),
)


@dataclass(frozen=True)
class Elf:
    """`interpreter` is the loader, empty for a static program; `glibc` is the newest version that it requires."""

    machine: str
    interpreter: str = ""
    glibc: tuple[int, ...] = ()


@dataclass(frozen=True)
class Script:
    """`argument` is the rest of the first line: the kernel passes it on as one argument."""

    interpreter: str
    argument: str = ""


@dataclass(frozen=True)
class Other:
    """A file that Linux cannot start. `description` follows the name of the file in a message."""

    description: str


class _Broken(Exception):
    """What is wrong with an ELF file."""


def debug_is_compressed(path: Path) -> bool:
    """Does the program have compressed debug sections? A small change in one changes all bytes after it."""
    with contextlib.suppress(OSError, ValueError, OverflowError, struct.error, IndexError), path.open("rb") as file:
        head = file.read(64)
        if head[:6] != b"\x7fELF\x02\x01":  # 64 bits, little-endian: all others are rare
            return False
        table, size, count, names = *struct.unpack_from("<Q", head, 40), *struct.unpack_from("<HHH", head, 58)
        file.seek(table)
        rows = file.read(size * min(count, _MOST_SECTIONS))
        sections = [struct.unpack_from("<IIQQQQ", rows, at) for at in range(0, len(rows), size or len(rows))]
        file.seek(sections[names][4])
        words = file.read(min(sections[names][5], _MOST_NAMES))
        return any(_is_compressed(words[name:], flags) for name, _, flags, *_ in sections)
    return False


def _is_compressed(name: bytes, flags: int) -> bool:
    return name.startswith(b".zdebug_") or (name.startswith(b".debug_") and bool(flags & _SHF_COMPRESSED))


def inspect(path: Path) -> Elf | Script | Other:
    """Raises OSError."""
    with path.open("rb") as file:
        head = file.read(_KERNEL_READS)
        if head.startswith(b"\x7fELF"):
            return _elf(file)
    return _script(head) if head.startswith(b"#!") else Other(_named(head))


def _named(head: bytes) -> str:
    if not head:
        return "is empty"
    for beginning, description in _BEGINNINGS:
        if re.match(beginning, head):
            return description
    is_text = not re.search(rb"[\0-\x08\x0e-\x1a\x1c-\x1f\x7f]", head)
    return 'is text without a "#!" line' if is_text else "is neither a Linux program nor a script"


def _script(head: bytes) -> Script | Other:
    line, ended, _ = head[2:].partition(b"\n")
    words = line.strip(b" \t").split(b"\0")[0]
    if words.endswith(b"\r"):
        return Other("has lines that end as on Windows, and Linux looks for such an interpreter")
    interpreter, _, argument = words.replace(b"\t", b" ").partition(b" ")
    if not interpreter:
        return Other('names no interpreter after its "#!"')
    if not ended and not argument and len(head) == _KERNEL_READS:
        return Other(f'has a "#!" line that is longer than the {_KERNEL_READS} bytes that Linux reads')
    name = _printable(interpreter)
    return (
        Script(name, argument.strip().decode(errors="replace")) if name else Other("names no path as its interpreter")
    )


def _elf(file: BinaryIO) -> Elf | Other:
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        elf = ELFFile(file)
        elf.header.e_shoff = 0
        return _describe(elf)
    except _Broken as error:
        return Other(f"is a broken Linux program: {error}")
    except (ELFError, ValueError, OverflowError, LookupError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # that is a place before or beyond all files
            raise
        return Other(f"is a broken Linux program: {str(error)[:80] or 'its headers cannot be read'}")


def _describe(elf: "ELFFile") -> Elf | Other:
    ident = elf.header.e_ident
    if ident.EI_OSABI in _OTHER_SYSTEMS:
        return Other(f"is built for {_OTHER_SYSTEMS[ident.EI_OSABI]}")
    if elf["e_type"] in _NOT_STARTED:
        return Other(f"is {_NOT_STARTED[elf['e_type']]}")
    segments = _segments(elf)
    interpreter = next((_interpreter(elf, segment) for segment in segments if segment["p_type"] == "PT_INTERP"), "")
    versions = [
        _version(name) for segment in segments if segment["p_type"] == "PT_DYNAMIC" for name in _needed(elf, segment)
    ]
    return Elf(_machine(elf), interpreter, max(versions, default=()))


def _machine(elf: "ELFFile") -> str:
    """As the kernel names it (`uname -m`), as far as the file says. An ARM program does not say which ARM."""
    name = _MACHINES.get(elf["e_machine"], "")
    if not name:
        return f"a machine that Teal does not know ({str(elf['e_machine']).removeprefix('EM_')})"
    name = _BY_BITS.get((name, elf.elfclass), name)
    if name in ("ppc64", "mips") and elf.little_endian:
        return {"ppc64": "ppc64le", "mips": "mipsel"}[name]
    return name if elf.little_endian or name in ("ppc64", "mips", "s390", "s390x") else f"{name} (big-endian)"


def _segments(elf: "ELFFile") -> list[Any]:
    """The program headers. Raises _Broken where a kernel would reject them, or the file lacks what they load."""
    if elf["e_type"] not in ("ET_EXEC", "ET_DYN"):
        raise _Broken(f"it is of no known type ({str(elf['e_type'])[:20]})")
    if not 1 <= elf["e_phnum"] <= _MOST_SEGMENTS or elf["e_phentsize"] != elf.structs.Elf_Phdr.sizeof():
        raise _Broken("its program headers are missing")
    segments = list(elf.iter_segments())
    end = max(
        (segment["p_offset"] + segment["p_filesz"] for segment in segments if segment["p_type"] == "PT_LOAD"), default=0
    )
    if not end:
        raise _Broken("nothing in it is loaded")
    if end > elf.stream_len:
        raise _Broken(f"it is cut short, at {elf.stream_len:,} of at least {end:,} bytes")
    return segments


def _interpreter(elf: "ELFFile", segment: Any) -> str:
    path = _bytes(elf, segment["p_offset"], min(segment["p_filesz"], _LONGEST_PATH + 1))
    name = _printable(path[:-1])
    if not name or path[-1] != 0:
        raise _Broken("the name of its loader cannot be read")
    return name


def _needed(elf: "ELFFile", segment: Any) -> Iterator[bytes]:
    """The names of the versions that the loader requires, from the dynamic table (DT_VERNEED)."""
    table = _dynamic(elf, segment)
    names, entry = (_file_offset(elf, table.get(tag)) for tag in ("DT_STRTAB", "DT_VERNEED"))
    if names is None or entry is None:
        return
    remaining = _MOST_VERSIONS  # a chain that leads back into itself never ends
    while remaining > 0:
        need = _parsed(elf, elf.structs.Elf_Verneed, entry)
        version = entry + need.vn_aux
        for _ in range(min(need.vn_cnt, remaining)):
            auxiliary = _parsed(elf, elf.structs.Elf_Vernaux, version)
            if not auxiliary.vna_flags & _WEAK:
                yield _bytes(elf, names + auxiliary.vna_name, 64).split(b"\0")[0]
            version += auxiliary.vna_next
        remaining -= max(1, need.vn_cnt)
        entry += need.vn_next
        if not need.vn_next:
            return


def _dynamic(elf: "ELFFile", segment: Any) -> dict[Any, int]:
    """The dynamic table: tag → value."""
    size = elf.structs.Elf_Dyn.sizeof()
    start, length = segment["p_offset"], min(segment["p_filesz"], _MOST_DYNAMIC)
    entries = (_parsed(elf, elf.structs.Elf_Dyn, start + at) for at in range(0, length - size + 1, size))
    table: dict[Any, int] = {}
    for entry in entries:
        if entry.d_tag == "DT_NULL":
            break
        table.setdefault(entry.d_tag, entry.d_val)
    return table


def _file_offset(elf: "ELFFile", address: int | None) -> int | None:
    """The place in the file of what is loaded at the address."""
    return None if address is None else next(elf.address_offsets(address), None)


def _parsed(elf: "ELFFile", kind: Any, offset: int) -> Any:
    from elftools.common.utils import struct_parse

    return struct_parse(kind, elf.stream, offset)


def _bytes(elf: "ELFFile", offset: int, size: int) -> bytes:
    """Fewer at the end of the file."""
    elf.stream.seek(offset)
    return elf.stream.read(size)


def _version(name: bytes) -> tuple[int, ...]:
    """`GLIBC_2.34` as numbers; empty for what is no version of glibc."""
    match = re.fullmatch(rb"GLIBC_(\d{1,4})\.(\d{1,4})(?:\.\d{1,4})?", name)
    return (int(match[1]), int(match[2])) if match else _WITHOUT_NUMBER.get(name, ())


def _printable(path: bytes) -> str:
    """The path as text; empty when it cannot be shown."""
    text = path.decode(errors="replace")
    return text if text.isprintable() and "\ufffd" not in text else ""
