"""The server side: each step alone, and the whole at the end of a pipe."""
