"""From the project to an artifact that fits the server."""
