"""Teal broken on purpose: the tests that should see it go red, and for the right reason."""
