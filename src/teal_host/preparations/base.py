"""What every preparation is given."""

from typing import Optional

from teal_host.state.agreement import Agreement
from teal_host.state.app import App
from teal_host.state.deploy_keys import DeployKey
from teal_host.state.footprint import Footprint
from teal_host.wire.values import dataclass


@dataclass(frozen=True)
class KeyIntent:
    """`key` is a deploy key to let in, `no_key` the fingerprint of a deploy key to revoke."""

    app: App
    footprint: Footprint
    key: Optional[DeployKey] = None
    no_key: Optional[str] = None


@dataclass(frozen=True)
class Intent:
    """`agreed` is the new agreement, `footprint` what earlier setups wrote here."""

    app: App
    agreed: Agreement
    footprint: Footprint
    key: Optional[DeployKey] = None
    no_key: Optional[str] = None

    @property
    def of_keys(self) -> KeyIntent:
        """The part that needs nothing else: a key is revoked whatever else is wrong."""
        return KeyIntent(self.app, self.footprint, self.key, self.no_key)

    @property
    def user(self) -> str:
        assert self.agreed.user, "setup always agrees on a user"
        return self.agreed.user
