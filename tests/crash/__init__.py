"""At every step, a signal kills or ends the server side, or the line is cut."""

import pytest

pytest.register_assert_rewrite("crash.scenes")
