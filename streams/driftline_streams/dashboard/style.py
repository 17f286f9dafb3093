"""The looks: one stylesheet for light and dark, a few lines of JavaScript, and the mark."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
CSS = (_HERE / "style.css").read_text()
SCRIPT = (_HERE / "script.js").read_text()

LOGO = (
    '<svg width="22" height="22" viewBox="0 0 22 22" fill="none" aria-hidden="true"><path d="M2 14c3 0 4-8 7-8s4 10 7 10 3-4 4-6" '
    'stroke="currentColor" stroke-width="2.2" stroke-linecap="round"/></svg>'
)

FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 22 22"><rect width="22" height="22" rx="5" fill="#0072b2"/>'
    '<path d="M3 14c3 0 3-7 6-7s4 9 7 9 2-4 3-6" stroke="#fff" stroke-width="2.2" fill="none" stroke-linecap="round"/></svg>'
)
