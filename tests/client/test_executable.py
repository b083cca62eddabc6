"""How Teal reads a program file: real files just built, made files of every machine, and broken files."""

import os
import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.elf import AARCH64, ARM, I386, LOADER, MIPS, MUSL, PPC64, RISCV, S390, X86_64, Made
from teal.building import executable
from teal.building.executable import Elf, Other, Script, inspect

C = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'
GO = 'package main\n\nfunc main() { println("hello") }\n'


def put(folder: Path, data: bytes, name: str = "app") -> Path:
    path = folder / name
    path.write_bytes(data)
    path.chmod(0o755)
    return path


def compiled(folder: Path, *options: str) -> Path:
    """A C program. Skips the test where no compiler can build it."""
    if not shutil.which("gcc"):
        pytest.skip("there is no gcc here")
    (folder / "app.c").write_text(C)
    argv = ["gcc", *options, "-o", str(folder / "app"), str(folder / "app.c")]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"gcc {' '.join(options)} cannot build here: {done.stderr.splitlines()[-1]}")
    return folder / "app"


def go_built(folder: Path, goarch: str) -> Path:
    if not shutil.which("go"):
        pytest.skip("there is no Go here")
    (folder / "main.go").write_text(GO)
    env = {**os.environ, "GOOS": "linux", "GOARCH": goarch, "CGO_ENABLED": "0", "GO111MODULE": "off"}
    argv = ["go", "build", "-o", "app", "main.go"]
    subprocess.run(argv, cwd=folder, env=env, capture_output=True, timeout=280, check=True)
    return folder / "app"


def here() -> str:
    return os.uname().machine


def test_executable_of_gcc_names_its_machine_loader_and_glibc(tmp_path: Path) -> None:
    path = compiled(tmp_path)
    inspected = inspect(path)
    assert isinstance(inspected, Elf)
    assert inspected.machine == here()
    assert Path(inspected.interpreter).exists()
    assert (2, 0) <= inspected.glibc <= tuple(map(int, os.confstr("CS_GNU_LIBC_VERSION").split()[1].split(".")[:2]))  # type: ignore[union-attr]


@pytest.mark.parametrize("option", ["-static", "-static-pie"])
def test_static_executable_of_gcc_needs_no_loader_and_no_glibc(tmp_path: Path, option: str) -> None:
    assert inspect(compiled(tmp_path, option)) == Elf(here())


def test_executable_without_section_headers_is_read_the_same(tmp_path: Path) -> None:
    """A linker may strip the section headers. The kernel does not read them, and Teal learns the same without them."""
    path = compiled(tmp_path, "-s")
    whole, data = inspect(path), bytearray(path.read_bytes())
    shoff = int.from_bytes(data[40:48], "little")
    data[40:48], data[60:64] = bytes(8), bytes(4)
    assert inspect(put(tmp_path, bytes(data[:shoff]))) == whole
    assert subprocess.run([tmp_path / "app"], capture_output=True, check=True).stdout == b"hello\n"


def test_executable_of_32_bits_names_i686_and_its_loader(tmp_path: Path) -> None:
    if here() != "x86_64":
        pytest.skip("only a PC has them")
    inspected = inspect(compiled(tmp_path, "-m32"))
    assert isinstance(inspected, Elf)
    assert (inspected.machine, inspected.interpreter) == ("i686", "/lib/ld-linux.so.2")


def test_object_file_is_recognized_as_not_linked(tmp_path: Path) -> None:
    assert inspect(compiled(tmp_path, "-c")) == Other("is an object file (.o), which is not linked yet")


def test_executable_of_go_names_the_machine_it_was_built_for(tmp_path: Path) -> None:
    assert inspect(go_built(tmp_path, "arm64")) == Elf("aarch64")


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (Made(), Elf("x86_64")),
        (Made(kind=3), Elf("x86_64")),
        (Made(loader=LOADER), Elf("x86_64", LOADER)),
        (Made(loader=MUSL), Elf("x86_64", MUSL)),
        (Made(loader="./ld.so"), Elf("x86_64", "./ld.so")),
        (Made(bits=32), Elf("x32")),
        (
            Made(I386, 32, loader="/lib/ld-linux.so.2", versions=["GLIBC_2.1"]),
            Elf("i686", "/lib/ld-linux.so.2", (2, 1)),
        ),
        (Made(AARCH64), Elf("aarch64")),
        (Made(AARCH64, little=False), Elf("aarch64 (big-endian)")),
        (Made(ARM, 32), Elf("arm")),
        (Made(RISCV), Elf("riscv64")),
        (Made(PPC64), Elf("ppc64le")),
        (Made(PPC64, little=False, versions=["GLIBC_2.17"]), Elf("ppc64", "", (2, 17))),
        (Made(S390, little=False), Elf("s390x")),
        (Made(MIPS, 32), Elf("mipsel")),
        (Made(0xFEFF), Elf("a machine that Teal does not know (65279)")),
        (Made(system=3), Elf("x86_64")),
        (Made(system=9), Other("is built for FreeBSD")),
        (Made(system=12), Other("is built for OpenBSD")),
        (Made(kind=4), Other("is a core dump")),
        (Made(kind=1), Other("is an object file (.o), which is not linked yet")),
        (Made(kind=77), Other("is a broken Linux program: it is of no known type (77)")),
        (Made(loader="/lib/\x1b[31m"), Other("is a broken Linux program: the name of its loader cannot be read")),
        (Made(versions=["GLIBC_2.2.5", "GLIBC_2.34", "GLIBC_2.9"]), Elf("x86_64", "", (2, 34))),
        (Made(versions=["GLIBC_2.17", "GLIBC_2.38?"]), Elf("x86_64", "", (2, 17))),
        (Made(versions=["GLIBC_2.17", "GLIBC_ABI_DT_RELR"]), Elf("x86_64", "", (2, 36))),
        (Made(versions=["GLIBC_PRIVATE", "GLIBCXX_3.4.32", "OPENSSL_3.0.0"]), Elf("x86_64")),
    ],
    ids=str,
)
def test_elf_file_names_what_it_was_built_for(tmp_path: Path, made: Made, expected: object) -> None:
    assert inspect(put(tmp_path, made.made())) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"#!/bin/sh\necho", Script("/bin/sh")),
        (b"#! \t/bin/sh -e \necho", Script("/bin/sh", "-e")),
        (b"#!/bin/sh", Script("/bin/sh")),
        (b"#!/usr/bin/env\tnode --flag\n", Script("/usr/bin/env", "node --flag")),
        (b"#!/bin/sh\0 \xff\n", Script("/bin/sh")),
        (b"#!python\n", Script("python")),
        (b"#!/bin/sh\r\necho", Other("has lines that end as on Windows, and Linux looks for such an interpreter")),
        (b"#!\n/bin/sh", Other('names no interpreter after its "#!"')),
        (b"#!/\xff\xfe\n", Other("names no path as its interpreter")),
        (b"#!/" + b"x" * 300, Other('has a "#!" line that is longer than the 256 bytes that Linux reads')),
        (b"", Other("is empty")),
        (b"echo hello\n", Other('is text without a "#!" line')),
        ("größer\n".encode(), Other('is text without a "#!" line')),
        (b"\xef\xbb\xbf#!/bin/sh\n", Other('has a byte order mark before its "#!"')),
        (b"\x7fEL", Other("is neither a Linux program nor a script")),
        (b"\0\1\2\3", Other("is neither a Linux program nor a script")),
        (b"MZ\x90\0", Other("is a Windows program")),
        (b"\xcf\xfa\xed\xfe\x0c\0", Other("is a macOS program")),
        (b"PK\x03\x04", Other("is an archive (zip or jar)")),
        (b"\xca\xfe\xba\xbe\0\0\0\x02", Other("is a macOS program")),
        (b"\xca\xfe\xba\xbe\0\0\0\x41", Other("is a Java class")),
        (b"\x1f\x8b\x08", Other("is compressed (gzip)")),
    ],
)  # fmt: skip
def test_file_that_is_no_elf_is_named_as_what_it_is(tmp_path: Path, data: bytes, expected: object) -> None:
    assert inspect(put(tmp_path, data)) == expected


def test_truncated_elf_file_is_reported_with_its_sizes(tmp_path: Path) -> None:
    whole = Made(loader=LOADER, versions=["GLIBC_2.34"]).made()
    description = ""
    for size in range(4, len(whole)):
        inspected = inspect(put(tmp_path, whole[:size]))
        assert isinstance(inspected, Other), size
        description = inspected.description
        assert description.startswith("is a broken Linux program: ")
        assert len(description) < 130
    assert f"it is cut short, at {len(whole) - 1:,} of at least {len(whole):,} bytes" in description


def test_elf_version_chain_ends_when_it_leads_back_into_itself(tmp_path: Path) -> None:
    """The chain has 65,535 needs of 65,535 versions each, and all are the same entry."""
    data = bytearray(Made(versions=["GLIBC_2.9"]).made())
    need = len(data) - 32
    data[need + 2 : need + 4] = b"\xff\xff"
    data[need + 12 : need + 16] = bytes([1, 0, 0, 0])
    began = time.process_time()
    inspect(put(tmp_path, bytes(data) + bytes(1_000_000)))
    assert time.process_time() - began < 5


WHOLE = Made(loader=LOADER, versions=["GLIBC_2.2.5", "GLIBC_2.34"]).made()
NARROW = Made(I386, 32, loader="/lib/ld-linux.so.2", versions=["GLIBC_2.1"]).made()


@given(
    st.sampled_from([WHOLE, NARROW]),
    st.dictionaries(st.integers(4, len(NARROW) - 1), st.integers(0, 255), max_size=12),
    st.none() | st.integers(4, len(WHOLE)),
)
@settings(max_examples=400, deadline=20_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_elf_file_with_flipped_and_cut_bytes_gets_an_answer_in_time(
    tmp_path: Path, whole: bytes, flips: dict[int, int], cut: int | None
) -> None:
    data = bytearray(whole)
    for place, byte in flips.items():
        data[place] = byte
    inspected = inspect(put(tmp_path, bytes(data[:cut])))
    text = repr(inspected)
    assert len(text) < 5000
    if isinstance(inspected, Other):
        assert inspected.description.isprintable()


@given(st.binary(max_size=400), st.sampled_from([b"", b"\x7fELF", b"\x7fELF\x02\x01\x01", b"#!", b"#!/usr/bin/env "]))
@settings(max_examples=300, deadline=20_000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_file_of_any_bytes_gets_an_answer(tmp_path: Path, data: bytes, begin: bytes) -> None:
    assert inspect(put(tmp_path, begin + data))


def test_elf_constant_of_x86_64_is_that_of_the_kernel() -> None:
    """The made files are like real files: the header of this Python names the same machine."""
    if here() == "x86_64":
        assert int.from_bytes(Path("/proc/self/exe").read_bytes()[18:20], "little") == X86_64


def with_sections(*sections: tuple[bytes, int]) -> bytes:
    """The header of a 64-bit ELF file, its table of sections, and their names."""
    names = b"\0" + b"\0".join(name for name, _ in sections) + b"\0.shstrtab\0"
    table, size = 64, 64 * (len(sections) + 1)
    head = b"\x7fELF\x02\x01\x01".ljust(40, b"\0") + struct.pack("<Q", table)
    head = head.ljust(58, b"\0") + struct.pack("<HHH", 64, len(sections) + 1, len(sections))
    rows = [struct.pack("<IIQQQQ", names.index(name), 1, flags, 0, 0, 0) for name, flags in sections]
    rows.append(struct.pack("<IIQQQQ", names.index(b".shstrtab"), 3, 0, 0, table + size, len(names)))
    return head + b"".join(row.ljust(64, b"\0") for row in rows) + names


@pytest.mark.parametrize(
    ("content", "compressed"),
    [
        (with_sections((b".text", 6), (b".debug_info", 0x800)), True),
        (with_sections((b".text", 6), (b".zdebug_info", 0)), True),
        (with_sections((b".text", 6), (b".debug_info", 0)), False),
        (with_sections((b".text", 0x800)), False),
        (with_sections((b".debug_info", 0x800))[:150], False),
        (b"\x7fELF\x02\x01" + b"\xff" * 58, False),
        (b"#!/bin/sh\n", False),
        (b"", False),
    ],
)
def test_compressed_debug_sections_are_detected(tmp_path: Path, content: bytes, compressed: bool) -> None:
    path = tmp_path / "program"
    path.write_bytes(content)
    assert executable.debug_is_compressed(path) == compressed
