"""The last lines of deploy and rollback, word for word."""

import pytest

from teal.cli.result import show_result
from teal.stories.result_json import Account
from teal.ui import Manner
from teal.ui.plain import Quiet
from teal_host.wire.messages import Result

LIVE = Result("live", "0002-bbbbbbbbbbbb", "green", None, "http://shop.test/")


@pytest.mark.parametrize(
    ("account", "line"),
    [
        (Account("shop", {"total": 12.0, "watch": 10.0}, 2_700_000, 2_500_000), "live after 2.0 s, watched for 10.0 s"),
        (Account("shop", {"total": 1.2}, 2_700_000, 2_500_000), "took 1.2 s"),
    ],
)
def test_result_says_when_the_release_was_live_and_what_was_sent(
    account: Account, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with show_result(Manner(), Quiet(), account) as conclusion:
        conclusion.result = LIVE
    first, second = capsys.readouterr().out.splitlines()
    assert first == "● green is live: 0002-bbbbbbbbbbbb  http://shop.test/"
    assert second == f"  {line}, sent 2.7 MB (the artifact has 2.5 MB; the rest is Teal's own)"
