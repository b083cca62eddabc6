"""A certificate authority for tests, by openssl: what it signs is verified against its own certificate."""

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


class Authority:
    """`file` is the certificate that clients trust."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip("no openssl, for certificates: apt-get install -y openssl")
        self._folder, self._serials = folder, itertools.count(1000)
        self.file, self._key = folder / "authority.pem", folder / "authority.key"
        subject = ["-subj", "/CN=The authority of the tests", "-keyout", str(self._key), "-out", str(self.file)]
        self._openssl("req", "-x509", *_KEY, "-days", "30", *subject)

    def sign(self, *names: str, key: Path | None = None, dates: tuple[str, ...] = ("-days", "30")) -> tuple[str, str]:
        """The texts of a certificate for these names and of its key, which is a new one without `key`."""
        own, request, out, more = (self._folder / name for name in ("own.key", "own.csr", "own.pem", "own.ext"))
        with_key = ("-key", str(key)) if key else (*_KEY, "-keyout", str(own))
        self._openssl("req", "-new", *with_key, "-subj", f"/CN={names[0]}"[:60], "-out", str(request))
        more.write_text(f"subjectAltName={','.join(f'DNS:{name}' for name in names)}\n")
        signed = ("-CA", str(self.file), "-CAkey", str(self._key), "-set_serial", str(next(self._serials)))
        self._openssl("x509", "-req", "-in", str(request), *signed, *dates, "-extfile", str(more), "-out", str(out))
        return out.read_text(), (key or own).read_text()

    def put(self, folder: Path, *names: str) -> None:
        """Where nginx reads it, each file by a rename; the key of before stays, if there is one."""
        key = folder / "privkey.pem"
        chain, new = self.sign(*names, key=key if key.exists() else None)
        for path, text in ((key, new), (folder / "fullchain.pem", chain)):
            beside = path.with_suffix(".new")
            beside.write_text(text)
            beside.rename(path)

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], capture_output=True, timeout=60, check=True)
