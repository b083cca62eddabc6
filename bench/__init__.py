"""Measures the costs of Teal beside the costs of other tools. CI runs only a test of the relay from this folder."""
