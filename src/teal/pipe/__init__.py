"""The pipe to the server side: open it, receive the greeting, exchange messages."""
