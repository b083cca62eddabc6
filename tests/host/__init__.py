"""The server side, step by step and at the end of a pipe."""
