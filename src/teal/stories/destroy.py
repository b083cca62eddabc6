"""The story of a destroy on the client: the server side does it alone, and the client listens."""

from dataclasses import dataclass

from teal.building.origin import origin
from teal.config.read import ConfigFile
from teal.stories.exchange import request_answer
from teal.stories.reporter import Reporter
from teal.stories.result_json import Account
from teal.ui.base import Ui
from teal_host.wire.messages import Done
from teal_host.wire.requests import Destroy


@dataclass(frozen=True)
class DestroyOptions:
    wait_s: float = 0.0
    keep_data: bool = False


def destroy(file: ConfigFile, options: DestroyOptions, ui: Ui) -> str:
    """Returns the confirmation of the server side. Raises TealError."""
    request = Destroy(file.config.app, origin(), options.wait_s, keep_data=options.keep_data)
    return request_answer(file, request, Done, Reporter(ui, Account())).message


def how_much(file: ConfigFile, options: DestroyOptions, ui: Ui) -> str:
    """What a destroy would remove, in words. Raises TealError."""
    request = Destroy(file.config.app, origin(), dry_run=True, keep_data=options.keep_data)
    return request_answer(file, request, Done, Reporter(ui, Account())).message
