"""What people look at: models, latency, drift, performance as labels arrive, and alerts with their evidence.

`app.serve` runs the pages; `queries` ask ClickHouse, `charts` turn rows into ECharts options without a browser.
"""
