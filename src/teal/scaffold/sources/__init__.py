"""The sources of a directory, read within bounds, and what they can say: how a program is built."""
