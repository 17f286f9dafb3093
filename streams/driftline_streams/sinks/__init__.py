"""ClickHouse: the only package that imports `clickhouse_connect`."""
