"""A certificate and its key: what they say, whether they belong together, and the way into the files that nginx reads.

nginx reads both at each handshake, so a certificate is renewed by a rename, without a reload. Whoever brings the pair,
this module checks it, as a browser would, before nginx sees it.
"""

import contextlib
import os
import ssl
import stat
from pathlib import Path
from typing import Any, Dict, Iterable, Iterator, Sequence, Tuple

from teal_host.ground import files, ownership
from teal_host.ground.errors import BadRequest
from teal_host.proxies.nginx import program as nginx_program
from teal_host.state.route import Tls
from teal_host.wire.site_grammar import ANY_LABEL
from teal_host.wire.values import dataclass

_MOST = 256 * 1024  # bytes of a chain or a key
_PARTIAL_CHAIN = 0x80000  # X509_V_FLAG_PARTIAL_CHAIN; Python has a name for it since 3.10
_FILE_MODE = 0o640
_FLIGHTS = 8  # of a handshake; TLS 1.3 takes two


@dataclass(frozen=True)
class Pair:
    """`names` are those of the certificate, `expires` is its end in seconds since 1970. `chain` and `key` are texts."""

    chain: str
    key: str
    names: Tuple[str, ...]
    expires: float
    serial: str
    issuer: str

    def covers(self, name: str) -> bool:
        """A wildcard stands for one label, and is a name of its own as well."""
        return name in self.names or f"{ANY_LABEL}{name.partition('.')[2]}" in self.names


def read(chain: Path, key: Path) -> Pair:
    """Raises BadRequest: a file cannot be read, the two do not belong together, or the certificate is not valid now."""
    chain_text, key_text = _text(chain), _text(key)
    with _in_memory(chain_text) as chain_copy, _in_memory(key_text) as key_copy:
        words = _verified(chain_copy, key_copy, chain, key)
    names = tuple(name.lower() for kind, name in words.get("subjectAltName", ()) if kind == "DNS")
    issuer = ", ".join(value for part in words.get("issuer", ()) for _, value in part)
    return Pair(
        chain_text, key_text, names, ssl.cert_time_to_seconds(words["notAfter"]), words["serialNumber"].lower(), issuer
    )


def install(tls: Tls, pair: Pair, names: Iterable[str]) -> Tuple[str, ...]:
    """Put the pair where nginx reads it, with the modes of setup's, and say for which of these names it is. The caller
    holds the lock of what apps share. Killed anywhere, the next call finishes it; the directory is setup's.

    A name loses its mark before the certificate changes, and gets its mark after that.
    """
    covered = tuple(name for name in names if pair.covers(name))
    for name in set(marked(tls)) - set(covered):
        files.remove(tls.covered / name)
    changed = [path for path, text in ((tls.key, pair.key), (tls.chain, pair.chain)) if files.text_of(path) != text]
    for path in changed:
        status = path.stat() if path.exists() else tls.folder.stat()
        mode = stat.S_IMODE(status.st_mode) if path.exists() else _FILE_MODE
        files.write(path, pair.key if path == tls.key else pair.chain, mode, status.st_gid)
    program = nginx_program.find() if changed and not stat.S_IMODE(tls.key.stat().st_mode) & stat.S_IRGRP else None
    if program:
        program.reload()  # its workers do not read the key themselves
    files.make_dir(tls.covered)
    for name in covered:
        if not (tls.covered / name).exists():
            files.write(tls.covered / name, "")
    return covered


def marked(tls: Tls) -> Sequence[str]:
    """The names that have HTTPS now."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(entry.name for entry in tls.covered.iterdir())
    return ()


def _text(path: Path) -> str:
    """A link is followed only where nobody but root can make one, as certbot's are."""
    try:
        data = files.beginning(path, _MOST + 1, follow=ownership.only_root_writes(str(path)))
        if len(data) > _MOST:
            raise BadRequest(f"{path} is larger than {_MOST:,} bytes, so it is no certificate or key")
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise BadRequest(f"{path} is not in PEM") from None
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}") from None


@contextlib.contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """Checked is what will be written: the file may change meanwhile."""
    memory = os.memfd_create("pem")
    try:
        with open(memory, "w", closefd=False) as file:
            file.write(text)
        yield f"/proc/self/fd/{memory}"
    finally:
        os.close(memory)


def _verified(chain_copy: str, key_copy: str, chain: Path, key: Path) -> Dict[str, Any]:
    """A handshake of this process with itself, in memory: the client trusts what the chain holds. It proves the pair
    and the dates. Whether a browser trusts the issuer is not asked.
    """
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    try:
        client.load_verify_locations(chain_copy)
        client.verify_flags |= _PARTIAL_CHAIN
        server.load_cert_chain(chain_copy, key_copy, password=lambda: "")
        return _shake_hands(server, client)
    except ssl.SSLCertVerificationError as error:
        raise BadRequest(f"the certificate {chain} is not valid: {error.verify_message}") from None
    except ssl.SSLError as error:
        why = (error.reason or str(error)).lower().replace("_", " ")
        raise BadRequest(f"{chain} and {key} are no certificate with its key: {why}") from None


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> Dict[str, Any]:
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    visitor = client.wrap_bio(to_client, to_server)
    site = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(_FLIGHTS):
        for end in (visitor, site):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    words: Dict[str, Any] = visitor.getpeercert() or {}
    return words
