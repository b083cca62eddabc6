"""The pipe to the server side: open it, greet, talk."""
