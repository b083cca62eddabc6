"""docs/guarantees.md: the rows of the fault matrix, the tests that show them, and what was counted at the last run."""
