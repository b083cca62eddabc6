"""What a thief of a deploy key can do: deploy that app, and nothing else.

sshd logs every attempt with the fingerprint, and the app's audit has a line for each that reaches the server side. All
modules of this folder share one server for each Debian, in the order of their names: the first reads a new audit, the
last removes the keys and an app.
"""

from collections.abc import Iterator

import pytest

import harness
from harness.deploy_keys import KeyedServer, keyed_server
from harness.ssh_access import one_login


@pytest.fixture(scope="package")
def keyed(debian: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeyedServer]:
    work = tmp_path_factory.mktemp("keyed")
    with harness.server(debian, work, packages=["nginx", "sudo"]) as server, one_login(server) as login:
        yield keyed_server(server, login)
