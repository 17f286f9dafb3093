"""The pipeline: from Kafka topics to ClickHouse tables, alerts and a dashboard."""
