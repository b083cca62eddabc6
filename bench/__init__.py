"""Measures the costs of Teal beside the costs of other tools. The tests use the relay and the load."""
