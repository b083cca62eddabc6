"""What setup makes sure of. Each module names the changes that are still needed, in order."""
