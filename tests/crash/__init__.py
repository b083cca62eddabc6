"""The server side killed, told to end and cut off at every step."""

import pytest

pytest.register_assert_rewrite("crash.scenes")
