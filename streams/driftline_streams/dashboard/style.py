"""The looks: one stylesheet for light and dark, a few lines of JavaScript, and the mark."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
CSS = (_HERE / "style.css").read_text()
SCRIPT = (_HERE / "script.js").read_text()

_WAVE = 'd="M3 14c3 0 3-7 6-7s4 9 7 9 2-4 3-6" stroke-width="2.2" fill="none" stroke-linecap="round"'
LOGO = f'<svg width="22" height="22" viewBox="0 0 22 22" aria-hidden="true"><path {_WAVE} stroke="currentColor"/></svg>'
FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 22 22"><rect width="22" height="22" rx="5" fill="#0072b2"/>'
    f'<path {_WAVE} stroke="#fff"/></svg>'
)
