"""What is to be counted, by everybody alike: windows of 10 s by model and version, percentiles, means of features."""

from __future__ import annotations

WINDOW_MS = 10_000
QUANTILES = (0.5, 0.95, 0.99)
GAMMA = 1.01 / 0.99  # of a DDSketch with 1 % relative accuracy
MODELS = {  # numeric and categorical features
    "fraud": (
        ["amount", "age_days", "velocity_1h", "velocity_24h", "ip_risk", "distance_km", "balance"],
        ["channel", "device", "merchant_type"],
    ),
    "churn": (
        ["tenure", "monthly_charge", "tickets_90d", "usage_gb", "nps", "discount", "late_payments"],
        ["plan", "region", "contract"],
    ),
    "eta": (
        ["trip_km", "traffic", "hour_sin", "temp_c", "rain_mm", "driver_rating", "stops"],
        ["vehicle", "zone", "surge"],
    ),
}

Key = tuple[str, str, int]  # model, version, start of the window in epoch ms
