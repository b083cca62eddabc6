"""Power loss as a model: every durable act of a story is recorded, and every disk that a cut could leave is recovered.

The idea is that of "All File Systems Are Not Created Equal" (OSDI 2014): programs rely on what POSIX does not promise,
so the model keeps only what was synced, and of the rest whatever may have reached the disk.
"""
