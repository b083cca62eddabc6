"""The last lines of deploy, rollback and setup, word for word."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from typing import Literal

import pytest

from teal.cli import setup
from teal.cli.options import confirm
from teal.cli.result import show_result
from teal.ground.errors import Interrupted
from teal.stories.result_json import Account
from teal.ui import Manner
from teal.ui.plain import Quiet
from teal_host.wire.messages import Plan, Result
from teal_host.wire.reports import Change

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


@pytest.mark.parametrize(("outcome", "artifact_bytes"), [("unchanged", 2_500_000), ("live", 0)])
def test_result_says_what_was_sent_where_no_artifact_was(
    outcome: Literal["unchanged", "live"], artifact_bytes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with show_result(Manner(), Quiet(), Account("shop", {"total": 1.2}, 133_800, artifact_bytes)) as conclusion:
        conclusion.result = replace(LIVE, outcome=outcome)
    assert capsys.readouterr().out.splitlines()[1] == "  took 1.2 s, sent 133.8 kB (Teal's own)"


def test_setup_that_only_revokes_a_key_asks_for_no_deploy() -> None:
    plan = Plan((Change("revoke the key SHA256:…, which deploys shop, and end what it does"),))
    assert setup._SetupResult(False, "shop", plan).last_line() == "shop is set up; next: teal deploy"
    revoked = setup._SetupResult(False, "shop", plan, revoked="ci.pub").last_line()
    assert revoked == "the key ci.pub may no longer deploy shop"


class Terminal(io.StringIO):
    """At its end, as after Ctrl-D. click takes Ctrl-C for the same."""

    def isatty(self) -> bool:
        return True


def test_question_that_gets_no_answer_ends_in_a_result_for_programs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    with pytest.raises(Interrupted), show_result(Manner(json=True), Quiet(), Account("shop")):
        confirm("End all of shop?", yes=False)
    assert json.loads(capsys.readouterr().out)["error"]["message"] == "nothing was changed"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_command_works_with_a_closed_standard_stream(closed: str) -> None:
    argv = ["sh", "-c", f'exec "$0" -m teal completion bash {closed}', sys.executable]
    assert subprocess.run(argv, check=False, timeout=60).returncode == 0
