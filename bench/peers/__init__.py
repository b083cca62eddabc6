"""The ways to a server that the bench compares. Each way prepares once, and then gives the argv of a deploy."""
