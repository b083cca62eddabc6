"""From the project to an artifact, and whether a server can run it."""
