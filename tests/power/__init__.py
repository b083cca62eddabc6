"""Power loss as a model: records every durable act of a story, and recovers every disk that a cut could leave.

The idea is that of "All File Systems Are Not Created Equal" (OSDI 2014): programs rely on what POSIX does not promise.
So the model keeps only what was synced, and of the rest whatever may have reached the disk.
"""
