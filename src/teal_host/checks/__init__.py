"""What the doctor looks at, a module a subject. What was seen is judged by pure functions."""
