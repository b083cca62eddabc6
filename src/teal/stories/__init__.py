"""The commands on the client, as stories: build, connect, send a request, report what happens."""
