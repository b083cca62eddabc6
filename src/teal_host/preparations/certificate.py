"""The certificate of an app's names, as [https] wants it."""

from teal_host.ground.errors import BadRequest
from teal_host.preparations.base import Intent


def check_possible(intent: Intent) -> None:
    """Raises BadRequest for a certificate that this version cannot bring."""
    kind = intent.agreed.https.certificate
    if kind != "none":
        raise BadRequest(f'[https] certificate = "{kind}" is not done by this version of Teal; say "none"')
