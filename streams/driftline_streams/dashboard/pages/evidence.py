"""Alerts as a list that opens: cause, owner, the SQL behind it, and the rows when somebody asks."""

from __future__ import annotations

from collections.abc import Sequence

from nicegui import events, ui

from driftline_streams.dashboard import markup, queries
from driftline_streams.dashboard.queries.alerts import Alert
from driftline_streams.dashboard.reader import Reader
from driftline_streams.errors import DriftlineError


class Alerts:
    """The list; it is only built anew when the alerts are other ones, so that what somebody opened stays open."""

    def __init__(self, reader: Reader, *, with_model: bool) -> None:
        self._reader = reader
        self._with_model = with_model
        self._shown: tuple[str, ...] | None = None
        self._box = ui.element("div").classes("w-full")

    def show(self, alerts: Sequence[Alert], empty: str) -> None:
        """Show these alerts, or the sentence `empty`."""
        ids = tuple(alert.id for alert in alerts)
        if ids == self._shown:
            return
        self._shown = ids
        self._box.clear()
        with self._box:
            if not alerts:
                ui.label(empty).classes("blank")
            for alert in alerts:
                self._alert(alert)

    def _alert(self, alert: Alert) -> None:
        with ui.expansion().classes("alert").props("dense") as item:
            with item.add_slot("header"):
                where = f"{alert.model} {alert.version}" if self._with_model else alert.version
                when = markup.moment(alert.start_ms / 1000)
                ui.html(
                    f'<div class="line">{markup.severity(alert.severity)}'
                    f'<span class="what">{markup.text(alert.title)}</span>'
                    f'<span class="when">{markup.text(where)} · {when}</span></div>',
                    sanitize=False,
                ).classes("w-full")

            def opened(event: events.ValueChangeEventArguments[bool]) -> None:
                if event.value and not item.default_slot.children:
                    with item:
                        self._evidence(alert)

            item.on_value_change(opened)

    def _evidence(self, alert: Alert) -> None:
        ui.html(f"<p>{markup.text(alert.cause)}</p>", sanitize=False)
        window = f"{markup.moment(alert.start_ms / 1000)} to {markup.moment(alert.end_ms / 1000)}"
        owner = f" · owner {alert.owner}" if alert.owner else ""
        ui.label(f"{alert.kind} of {alert.signal} · window {window}{owner} · id {alert.id}").classes("note")
        with ui.element("pre").classes("sql"):
            ui.label(alert.query)
        with ui.row().classes("items-center gap-3"):
            button = ui.button(f"Show the first {queries.alerts.EVIDENCE_ROWS} rows").props(
                "outline dense no-caps size=sm padding='4px 12px'"
            )
            if self._with_model:
                ui.link("open the model", markup.model_path(alert.model))
        found = ui.html("", sanitize=False).classes("w-full")

        async def run() -> None:
            button.disable()
            try:
                found.set_content(markup.table(await queries.alerts.evidence(self._reader, alert.query)))
            except DriftlineError as error:
                found.set_content(f'<p class="note">{markup.text(error)}</p>')
            finally:
                button.enable()

        button.on_click(run)
