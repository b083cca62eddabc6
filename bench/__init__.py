"""What Teal costs, measured beside what others cost. Nothing here runs in CI but a test of the relay."""
