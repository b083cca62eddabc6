"""docs/guarantees.md: the rows of the fault matrix, the tests that show them, and the counts of the last run."""
