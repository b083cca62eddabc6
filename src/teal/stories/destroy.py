"""The story of a destroy on the client: the server side does it alone, and the client listens."""

from teal.building.origin import origin
from teal.config.read import ConfigFile
from teal.stories.exchange import request_answer
from teal.stories.reporter import Reporter
from teal.stories.result_json import Account
from teal.ui.base import Ui
from teal_host.wire.messages import Destroy, Done


def destroy(file: ConfigFile, wait_s: float, ui: Ui) -> None:
    """Raises TealError."""
    request = Destroy(file.config.app, origin(), wait_s)
    request_answer(file, request, Done, Reporter(ui, Account()))
