"""What somebody who has stolen a deploy key can do with it: deploy that app, and nothing else at all.

Every attempt through ssh is also in sshd's own log with the fingerprint; what reached the server side has its line in
the app's audit. All modules of this folder share one server for each Debian, in the order of their names: the first
reads a new audit, the last removes the keys and an app.
"""

from collections.abc import Iterator

import pytest

import harness
from harness.deploy_keys import KeyedServer, keyed_server


@pytest.fixture(scope="package")
def keyed(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedServer]:
    with harness.server(debian, tmp_path_factory.mktemp("keyed"), packages=["nginx", "sudo"]) as server:
        yield keyed_server(server)
