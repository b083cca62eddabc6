"""This side of the pipe: the greeting, the messages, the blocks of an upload."""
