"""The commands on this side, as stories: build, connect, say what is wanted, tell what happens."""
