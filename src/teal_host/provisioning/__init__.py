"""The seam that agrees with an app on its names and ports: on a server setup does, locally a deploy."""
