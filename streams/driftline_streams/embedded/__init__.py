"""Apache Kafka and ClickHouse on this machine, without Docker: the real broker and the real engine, on loopback only.

Beside the walk: nothing in the pipeline imports this package. `driftline up`, the demo and the tests start services
here and hand two addresses to everyone else, exactly as production would.
"""
