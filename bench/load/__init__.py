"""Load that hides nothing: clients of every kind at once, on a fixed schedule, which never send a request twice.

Each request has an id. The program writes down each id before it does anything else. So at the end the ledger
(ledger.py) knows of each request whether the client got an answer, and how often the program handled the request.

Tests and benches put the load on a server with `running.py`; each kind of client is a class in `kinds/`.
"""
