"""What setup makes sure of, one module each: every one gives the acts that are still needed, in order."""
