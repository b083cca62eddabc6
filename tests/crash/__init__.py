"""The server side is killed, told to end, or cut off, at every step."""

import pytest

pytest.register_assert_rewrite("crash.scenes")
