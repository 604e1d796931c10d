"""How fast, when and where work runs: throttle, weekly windows, circuit breaker, spool and executors.

Import from the modules: each is small, and a worker loads only what its task needs.
"""
