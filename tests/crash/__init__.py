"""The server side killed, told to end and cut off at every step."""
