"""What the two sides say to each other: frames on the pipe, typed messages, and the grammar of every name.

The only part of the server side that the client imports. Both sides check every value with it on arrival.
"""
