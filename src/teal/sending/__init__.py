"""What is sent of an artifact, how, and what is remembered for the next time."""
