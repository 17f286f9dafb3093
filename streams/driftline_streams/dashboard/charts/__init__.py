"""Rows to ECharts options: pure functions, tested without a browser.

User data is only ever a value in an option, never a key: NiceGUI runs the value of a key that starts with a colon as
JavaScript. The few such keys here have constant values.
"""
