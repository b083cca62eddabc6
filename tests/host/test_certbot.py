"""What certbot is asked, and which of its words a person sees."""

from pathlib import Path

import pytest

from teal_host.ground.paths import HostPaths
from teal_host.proxies import certbot
from teal_host.proxies.certbot import Lineage, Order
from teal_host.wire.app import Https

NAMES = ("a.example.com", "b.example.com")
DETAILS = """\
Saving debug log to /var/log/letsencrypt/letsencrypt.log
Requesting a certificate for a.example.com and b.example.com

Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these problems:
  Domain: a.example.com
  Type:   connection
  Detail: 192.0.2.1: Fetching http://a.example.com/.well-known/acme-challenge/x: Connection refused

Hint: The Certificate Authority failed to download the temporary challenge files created by Certbot.

Some challenges have failed.
Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile for more details.
"""
LIMIT = """\
Saving debug log to /var/log/letsencrypt/letsencrypt.log
Requesting a certificate for a.example.com
An unexpected error occurred:
There were too many requests of a given type :: too many certificates (5) already issued in the last 168h0m0s
Ask for help or search for solutions at https://community.letsencrypt.org. See the logfile for more details.
"""
BUSY = "Another instance of Certbot is already running.\nAsk for help or search for solutions at https://example.com.\n"
SENTENCES = {
    "a challenge": (
        DETAILS,
        "a.example.com: 192.0.2.1: Fetching http://a.example.com/.well-known/acme-challenge/x: Connection refused",
    ),
    "a limit": (
        LIMIT,
        "There were too many requests of a given type :: too many certificates (5) already issued in the last 168h0m0s",
    ),
    "another certbot": (BUSY, "Another instance of Certbot is already running."),
    "nothing": ("", "certbot gives no reason"),
}


def order(tmp_path: Path, https: Https) -> Order:
    host = HostPaths(tmp_path)
    return Order(Lineage(host.app("shop")), NAMES, https, host)


@pytest.mark.parametrize(("text", "sentence"), SENTENCES.values(), ids=list(SENTENCES))
def test_certbots_answer_becomes_one_sentence(text: str, sentence: str) -> None:
    assert certbot.sentence(text.splitlines()) == sentence


def test_certbots_answer_of_any_length_is_one_bounded_line() -> None:
    assert len(certbot.sentence([f"  Detail: {'x ' * 10_000}"])) <= 400


def test_order_asks_for_a_key_that_stays(tmp_path: Path) -> None:
    argv = certbot.argv(order(tmp_path, Https("letsencrypt")))
    assert argv[:3] == ["env", "certbot", "certonly"]
    assert {"--reuse-key", "--register-unsafely-without-email", "--keep-until-expiring"} <= {*argv}
    assert argv[-4:] == ["--domain", NAMES[0], "--domain", NAMES[1]]
    assert argv[argv.index("--server") + 1] == certbot.LETS_ENCRYPT
    assert argv[argv.index("--cert-name") + 1] == "teal-shop"


def test_order_at_another_authority_does_not_wait_for_the_end_of_the_certificate(tmp_path: Path) -> None:
    asked = order(tmp_path, Https("letsencrypt", "me@example.com", "https://ca.example.com/dir", "-----BEGIN"))
    asked.lineage.renewal.parent.mkdir(parents=True)
    asked.lineage.renewal.write_text(f"[renewalparams]\nserver = {certbot.LETS_ENCRYPT}\n")
    argv = certbot.argv(asked)
    assert f"REQUESTS_CA_BUNDLE={tmp_path}/var/lib/teal/.authorities.pem" == argv[1]
    assert "--force-renewal" in argv
    assert argv[argv.index("--email") + 1] == "me@example.com"
