"""A tab of a model's page: the panels that answer one kind of question about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from nicegui import ui

from driftline_schemas.spec import ModelSpec
from driftline_streams.dashboard.pages.shell import Load, Page
from driftline_streams.dashboard.spans import Span


@dataclass(frozen=True, slots=True)
class View:
    """What of the model is looked at."""

    span: Span
    versions: list[str]
    width_s: int  # of its windows
    spec: ModelSpec


class Tab(Protocol):
    """Panels that are filled when a person looks at them, and not before."""

    async def load(self, view: View) -> None:
        """Fill them; called at every refresh while the tab is open."""


def toggle(options: dict[str, str], value: str | None, page: Page, then: Load | None = None) -> ui.toggle:
    """A row of buttons of which one is pressed."""
    return ui.toggle(options, value=value, on_change=page.unless_quiet(then or page.refresh)).props(
        "unelevated no-caps toggle-color=primary"
    )


def select(options: dict[str, str], value: str | None, page: Page, name: str) -> ui.select:
    """A list to choose from; `name` is what it is called for who cannot see it."""
    return (
        ui.select(options, value=value, on_change=page.unless_quiet(page.refresh))
        .props(f"dense outlined options-dense aria-label={name}")
        .classes("min-w-[140px]")
    )


def offer(control: ui.toggle | ui.select, options: dict[str, str], page: Page) -> str:
    """Let a person choose among `options` (at least one); what was chosen before stays if it still can."""
    kept = control.value if control.value in options else next(iter(options))
    if control.options != options or control.value != kept:
        with page.quietly():
            control.set_options(options, value=kept)
    return str(kept)
