"""Breaks Teal on purpose: the tests that should fail must fail, and for the right reason."""
