"""What the pipeline says about itself: metrics for Prometheus and structured logs."""
