"""The story of a rollback on the client: the server side does it alone, and the client listens."""

import uuid
from dataclasses import dataclass

from teal.building.origin import origin
from teal.config.read import ConfigFile
from teal.stories.exchange import request_answer
from teal.stories.reporter import Reporter
from teal.stories.result_json import Account
from teal.ui.base import Ui
from teal_host.wire.messages import Result
from teal_host.wire.requests import Rollback


@dataclass(frozen=True)
class RollbackOptions:
    """`release`: without one, the server side takes the last good release before the live one."""

    release: str | None = None
    wait_s: float = 0.0


def rollback(file: ConfigFile, options: RollbackOptions, ui: Ui, account: Account) -> Result:
    """Raises TealError."""
    request = Rollback(file.config.app, origin(), uuid.uuid4().hex, options.release, options.wait_s)
    return request_answer(file, request, Result, Reporter(ui, account))
