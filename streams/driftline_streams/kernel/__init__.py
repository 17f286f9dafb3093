"""Pure mathematics and values: nothing here knows Kafka, ClickHouse, a clock or the network."""
