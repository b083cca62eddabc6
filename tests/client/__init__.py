"""What a developer types and reads, and the modules of the client."""
