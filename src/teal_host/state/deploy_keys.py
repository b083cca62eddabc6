"""Who may deploy an app from CI: whoever has a key, or a certificate of a CA for one of its principals."""

import base64
import hashlib
from typing import Tuple

from teal_host.wire.grammar import KeyWord, Principal, PublicKey
from teal_host.wire.values import dataclass

_DIGITS = 64  # of a SHA-256


@dataclass(frozen=True)
class DeployKey:
    """`public`: the line of the public key file. The key of a CA has `principals`, and lets in the certificates that
    name one of them, never the CA itself. `may`: the commands that it is for; all that a deploy key can do, where none
    is named.
    """

    public: PublicKey
    may: Tuple[KeyWord, ...] = ()
    principals: Tuple[Principal, ...] = ()

    @property
    def fingerprint(self) -> str:
        """As OpenSSH shows it."""
        return fingerprint_in(self.word)

    @property
    def word(self) -> str:
        """The argument by which sshd and sudo name the key, in letters that need no escape in sudoers.

        The word of a CA tells its principals as well. So an open connection loses its rights when they change, and one
        CA has a word for each app.
        """
        digest = hashlib.sha256(base64.b64decode(self.public.split()[1])).hexdigest()
        names = hashlib.sha256(",".join(self.principals).encode()).hexdigest()
        return f"{digest}-{names[:16]}" if self.principals else digest

    def is_same_key(self, other: "DeployKey") -> bool:
        return self.fingerprint == other.fingerprint

    def __str__(self) -> str:
        if not self.principals:
            return f"the key {self.fingerprint}"
        return f"certificates of the CA {self.fingerprint} for {', '.join(self.principals)}"


def fingerprint_in(word: str) -> str:
    return f"SHA256:{base64.b64encode(bytes.fromhex(word[:_DIGITS])).decode().rstrip('=')}"


def hex_of(fingerprint: str) -> str:
    """How the word of this key begins."""
    return base64.b64decode(f"{fingerprint.partition(':')[2]}=").hex()


def is_of_ca(word: str) -> bool:
    return len(word) > _DIGITS
