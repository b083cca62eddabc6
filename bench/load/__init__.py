"""Load that hides nothing: clients of every kind at once, by the clock, who never ask twice.

Each request has an id. The program that is asked writes down each id that it handles before it does anything else; so
at the end it is known of each request whether it was answered, and how often it was handled (ledger.py). `running.py`
is how tests and benches put it on a server; a kind of client is a class in `kinds/`.
"""
