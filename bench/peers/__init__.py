"""The ways to a server that are compared. Each one is prepared once and then gives the argv of a deploy."""
