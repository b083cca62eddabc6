"""What scripts rely on: the JSON, the exit codes, and the schema of teal.toml."""
