"""What a developer types and reads, and the parts below it."""
