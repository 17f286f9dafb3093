"""The pages in a real browser: they show what ClickHouse says, in light and dark, live, and from nowhere else."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect, sync_playwright

from driftline_streams.settings import Settings
from driftline_streams.sinks.clickhouse import ClickHouse
from driftline_streams.sinks.migrations import migrate

from . import seed, truth

pytestmark = pytest.mark.browser

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 20_000
FIRST_CHART = "getElement(+document.querySelector('.nicegui-echart').id.slice(1))?.chart?.getOption()?"
READ = "document.querySelector('.pulse')?.innerText.startsWith('updated')"

Open = Callable[..., Page]

expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on PATH: the browser tests must run in CI")
        pytest.skip("no Chromium on PATH: install chromium to run the browser tests")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def wire(seeded: Settings) -> Iterator[Wire]:
    """Between the dashboard and ClickHouse."""
    with Wire(seeded.clickhouse_host, seeded.clickhouse_port) as wire:
        yield wire


@pytest.fixture(scope="module")
def dashboard(served: Any, seeded: Settings, wire: Wire) -> Iterator[str]:
    with served(seeded.model_copy(update={"clickhouse_port": wire.port})) as address:
        yield address


@contextmanager
def opening(browser: Browser) -> Iterator[Open]:
    """Open pages and wait until they have read; in the end: nothing came from elsewhere, and nothing complained."""
    complaints: list[str] = []
    requests: list[tuple[str, str]] = []
    contexts: list[BrowserContext] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(message.text)

    def open_(
        address: str, *, scheme: str = "light", width: int = 1440, height: int = 1000, ready: str | None = READ
    ) -> Page:
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})  # type: ignore[arg-type]
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"a dialog opened: {dialog.message}"))
        page.on("request", lambda request: requests.append((origin(address), request.url)))
        page.goto(address)
        if ready is not None:
            page.wait_for_function(ready)
        return page

    yield open_
    for context in contexts:
        context.close()
    outside = [url for own, url in requests if not url.startswith((own, "data:", "blob:", own.replace("http", "ws")))]
    assert not outside
    assert bool(requests) == bool(contexts)
    assert not complaints


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    with opening(browser) as open_:
        yield open_


@pytest.fixture(scope="module")
def whole(browser: Browser, dashboard: str) -> Iterator[Page]:
    """The model's page with all of its time, for tests that only look."""
    with opening(browser) as open_:
        yield open_(model_page(dashboard))


@pytest.fixture(scope="module")
def judged(browser: Browser, dashboard: str) -> Iterator[Page]:
    """The model's performance with all of its time, for tests that only look."""
    with opening(browser) as open_:
        yield open_(model_page(dashboard, tab="performance"))


@pytest.fixture(scope="module")
def bare(browser: Browser, dashboard: str) -> Iterator[Page]:
    """A model that nobody has described or labelled."""
    with opening(browser) as open_:
        yield open_(f"{dashboard}/model/{quote(seed.ODD_MODEL, safe='')}")


def origin(address: str) -> str:
    return "/".join(address.split("/")[:3])


def options(page: Page, title: str) -> dict[str, Any]:
    """The options of the chart in the card with this title, as ECharts has them, as soon as there is one."""
    found = page.wait_for_function(
        """title => {
          const card = [...document.querySelectorAll('.panel')].find(c => c.querySelector('h2')?.innerText === title);
          const element = card?.querySelector('.nicegui-echart');
          return element && getElement(+element.id.slice(1))?.chart?.getOption();
        }""",
        arg=title,
    )
    option: dict[str, Any] = found.json_value()
    return option


def line(option: dict[str, Any], name: str, kind: str = "line") -> list[tuple[float, float]]:
    """The points of the first series with this name."""
    found = next(series for series in option["series"] if series["name"] == name and series["type"] == kind)
    points = (point["value"] if isinstance(point, dict) else point for point in found["data"])
    return [(at, value) for at, value in points if value is not None]


def values_of(option: dict[str, Any], name: str) -> list[list[float]]:
    """What the points of a series are made of."""
    return [point["value"] for series in option["series"] if series["name"] == name for point in series["data"]]


def model_page(dashboard: str, span: str = "all", *, tab: str = "behaviour") -> str:
    return f"{dashboard}/model/{quote(seed.MODEL, safe='')}?span={span}&tab={tab}"


def card(page: Page, title: str) -> Locator:
    return page.locator(".panel", has=page.get_by_role("heading", name=title, exact=True))


def test_the_overview_says_of_each_version_what_clickhouse_says(open_page: Open, dashboard: str, sql: Client) -> None:
    page = open_page(dashboard)
    strips = page.locator(".strip", has_text=seed.VERSIONS[0])
    events = sql.query(
        f"SELECT sum(n) FROM windows WHERE model = '{seed.MODEL}' AND version = '{seed.VERSIONS[0]}' AND dim = ''"
    ).result_rows[0][0]
    expect(strips).to_contain_text(f"{events:,}")
    expect(strips).to_contain_text("champion")
    expect(strips).to_contain_text("1 of 5")  # drifting, in the newest window with enough events
    expect(strips).to_contain_text("1 critical")
    expect(page.locator(".strip", has_text=seed.VERSIONS[1])).to_contain_text("challenger")
    expect(page.locator("body")).not_to_contain_text("NaN")
    expect(page.locator("body")).not_to_contain_text("None")


def test_a_click_on_a_model_leads_to_its_page(open_page: Open, dashboard: str) -> None:
    page = open_page(dashboard)
    page.get_by_role("link", name=seed.MODEL).first.click()
    page.wait_for_url(f"**/model/{seed.MODEL}")
    page.wait_for_function(READ)
    expect(page.locator("h1")).to_contain_text(seed.MODEL)


def test_latency_percentiles_are_those_of_the_view(open_page: Open, dashboard: str, sql: Client) -> None:
    option = options(open_page(model_page(dashboard, "week")), "Latency")
    rows = sql.query(
        "SELECT toUnixTimestamp(window) * 1000, p50_ms, p99_ms FROM latency_by_window "
        f"WHERE model = '{seed.MODEL}' AND version = '{seed.VERSIONS[0]}' AND dim = '' "
        f"AND window >= toDateTime({seed.END_S - 7 * 86_400}) ORDER BY window"
    ).result_rows
    assert len(rows) == 7 * 24
    for name, column in (("p50", 1), ("p99", 2)):
        drawn = line(option, f"{seed.VERSIONS[0]} {name}")
        assert [point[0] for point in drawn] == [row[0] for row in rows]
        assert [point[1] for point in drawn] == pytest.approx([row[column] for row in rows], rel=1e-5)


def test_rates_and_errors_add_up_to_the_events(whole: Page, sql: Client) -> None:
    option = options(whole, "Rate and errors")
    rate = line(option, seed.VERSIONS[0])
    bucket_s = (rate[1][0] - rate[0][0]) / 1000
    per_s = {"events / min": 60, "events / h": 3600}[option["yAxis"][0]["name"]]
    events = sql.query(
        f"SELECT sum(n) FROM windows WHERE model = '{seed.MODEL}' AND version = '{seed.VERSIONS[0]}'"
    ).result_rows[0][0]
    assert sum(point[1] for point in rate) * bucket_s / per_s == pytest.approx(events, rel=1e-4)


def test_performance_is_that_of_the_view_with_provisional_and_restated_parts_marked(judged: Page, sql: Client) -> None:
    option = options(judged, "Performance as labels arrive")
    rows = sql.query(
        "SELECT toUnixTimestamp(toDateTime(day, 'UTC')) * 1000, accuracy, state, coverage FROM performance_daily "
        f"WHERE model = '{seed.MODEL}' AND version = '{seed.VERSIONS[0]}' ORDER BY day"
    ).result_rows
    sure = {row[0]: row[1] for row in rows if row[2] != "provisional"}
    assert 0 < len(sure) < len(rows)
    assert dict(line(option, seed.VERSIONS[0])) == pytest.approx(sure, rel=1e-5)
    provisional = dict(line(option, f"{seed.VERSIONS[0]} provisional"))
    assert {row[0] for row in rows if row[2] == "provisional"} <= set(provisional)
    restated = dict(line(option, f"{seed.VERSIONS[0]} restated", "scatter"))
    assert restated == pytest.approx({row[0]: row[1] for row in rows if row[2] == "restated"}, rel=1e-5)
    bars = dict(line(option, seed.VERSIONS[0], "bar"))
    assert bars == pytest.approx({row[0]: row[3] for row in rows}, rel=1e-5)
    expect(card(judged, "Performance as labels arrive").locator(".sub")).to_contain_text("1 restated")


def test_open_days_and_days_without_labels_say_what_they_are_told_to(judged: Page) -> None:
    option = options(judged, "When all labels have come")
    assert {tuple(values[1:]) for values in values_of(option, "when all labels have come")} == {(0.83, 0.78, 0.87)}
    expect(card(judged, "Estimated without labels").locator(".sub")).to_contain_text(
        "abstains on 3 of 52 days: the scores leave what was learned from"
    )


def test_scores_and_classes_of_a_month_are_those_of_the_views(judged: Page, sql: Client) -> None:
    option = options(judged, "Do scores come true?")
    view = sql.query(
        f"SELECT mean_score, positive_rate, positive_rate_low, positive_rate_high FROM calibration WHERE "
        f"model = '{seed.MODEL}' AND version = '{seed.VERSIONS[0]}' AND month = '2025-04-01' ORDER BY band_start"
    ).result_rows
    drawn = np.array(values_of(option, "came true"))
    assert drawn == pytest.approx(np.array(view), rel=1e-5)
    expect(card(judged, "What is taken for what?").locator(".sub")).to_contain_text("2025-04, n = 11,664")


def test_the_metrics_are_those_of_the_kind_and_a_persons_choice(
    open_page: Open, dashboard: str, sql: Client, eventually: Any
) -> None:
    page = open_page(model_page(dashboard, tab="performance"))
    page.get_by_label("metric").first.click()
    expect(page.get_by_role("option", name="Mean absolute error")).to_have_count(0)
    page.get_by_role("option", name="ROC-AUC").click()
    expected = sql.query(
        f"SELECT roc_auc FROM performance_daily WHERE model = '{seed.MODEL}' AND version = '{seed.VERSIONS[0]}' "
        "AND day = '2025-04-20'"
    ).result_rows[0][0]
    eventually(lambda: options(page, "Performance as labels arrive")["yAxis"][0]["name"] == "ROC-AUC")
    drawn = dict(line(options(page, "Performance as labels arrive"), seed.VERSIONS[0]))
    assert drawn[1_745_107_200_000] == pytest.approx(expected, rel=1e-5)


def test_tabs_answer_how_long_who_is_better_where_it_is_worst_and_what_it_is_worth(
    open_page: Open, dashboard: str
) -> None:
    page = open_page(model_page(dashboard, tab="labels"))
    assert options(page, "How long does the truth take?")["series"]
    expect(card(page, "What was restated?").locator("tbody tr")).to_have_count(1)
    page.get_by_role("tab", name="Versions").click()
    assert values_of(options(page, "Challenger beside champion"), f"{seed.VERSIONS[1]} − {seed.VERSIONS[0]}")
    expect(card(page, "Is the challenger better?").locator(".sub")).to_contain_text(
        f"{seed.VERSIONS[1]} is better than {seed.VERSIONS[0]}: +3.00 pp of accuracy"
    )
    page.wait_for_url("**&tab=versions")
    page.get_by_role("tab", name="Segments").click()
    assert len(options(page, "Where is it worse than elsewhere?")["yAxis"][0]["data"]) == 5
    assert options(page, "How far are groups apart?")["series"]
    page.get_by_role("tab", name="Worth").click()
    assert options(page, "What was it worth?")["yAxis"][0]["name"] == "EUR"
    assert {series["name"] for series in options(page, "How many of each class?")["series"]} == {"true", "not true"}


@pytest.mark.parametrize(
    ("kind", "metric", "shown", "hidden"),
    [
        ("regression", "Mean absolute error", "How far are numbers off?", "What is taken for what?"),
        ("multiclass", "Accuracy", "What is taken for what?", "How far are numbers off?"),
        ("ranking", "NDCG", "Is the top of the list clicked?", "Do scores come true?"),
    ],
)
def test_each_kind_of_model_is_shown_what_it_has(  # noqa: PLR0917
    open_page: Open, dashboard: str, kind: str, metric: str, shown: str, hidden: str
) -> None:
    page = open_page(f"{dashboard}/model/{truth.KINDS[kind]}?tab=performance")
    assert options(page, "Performance as labels arrive")["yAxis"][0]["name"] == metric
    assert options(page, shown)["series"][0]["data"]
    expect(card(page, hidden)).to_be_hidden()


@pytest.mark.parametrize(
    ("tab", "advice"),
    [
        ("performance", "No labels yet for the predictions of this time: publish them to driftline.labels"),
        ("labels", "No labels yet for the predictions of this time: publish them to driftline.labels"),
        ("versions", "with the same request_id"),
        ("segments", "name keys of `segment` under `segments` in its spec"),
        ("worth", "declare `worth`"),
    ],
)
def test_where_there_is_nothing_it_says_what_to_do(bare: Page, tab: str, advice: str) -> None:
    bare.get_by_role("tab", name=tab.capitalize()).click()
    expect(bare.locator(".blank:visible", has_text=advice).first).to_be_visible()


def test_a_click_on_a_drift_cell_shows_both_distributions(whole: Page, sql: Client) -> None:
    page = whole
    option = options(page, "Drift by signal and time")
    cells = [point["value"] for point in option["series"][0]["data"]]
    assert len(cells) == len(seed.SIGNALS) * seed.DAYS
    drifting = sql.query(
        f"SELECT count() FROM drift FINAL WHERE model = '{seed.MODEL}' AND version = '{seed.VERSIONS[0]}' "
        "AND dim = '' AND state = 'drift'"
    ).result_rows[0][0]
    assert sum(value >= 1 for _, _, value in cells) == drifting > 0
    x, y = option["xAxis"][0]["data"].index("2025-04-20"), option["yAxis"][0]["data"].index("amount")
    at = page.evaluate(
        """([x, y]) => {
          const card = [...document.querySelectorAll('.panel')]
            .find(c => c.querySelector('h2')?.innerText === 'Drift by signal and time');
          const element = card.querySelector('.nicegui-echart');
          element.scrollIntoView({block: 'center'});
          const pixel = getElement(+element.id.slice(1)).chart.convertToPixel({seriesIndex: 0}, [x, y]);
          const box = element.getBoundingClientRect();
          return [box.x + pixel[0], box.y + pixel[1]];
        }""",
        [x, y],
    )
    page.mouse.click(*at)
    expect(card(page, "Reference and window").locator(".sub")).to_contain_text("amount on 2025-04-20")
    bins, expected = sql.query(
        f"SELECT bins, expected FROM drift FINAL WHERE model = '{seed.MODEL}' AND version = '{seed.VERSIONS[0]}' "
        "AND signal = 'feature:amount' AND window = toDateTime('2025-04-20 00:00:00', 'UTC')"
    ).result_rows[0]
    reference, window = options(page, "Reference and window")["series"]
    for series, held in ((reference, expected), (window, bins)):
        assert series["data"] == pytest.approx([count / sum(held.values()) for count in held.values()], rel=1e-4)


def test_a_segment_is_a_persons_choice(open_page: Open, dashboard: str) -> None:
    page = open_page(model_page(dashboard))
    page.get_by_label("segment").click()
    page.get_by_role("option", name="country = DE").click()
    expect(card(page, "Drift by signal and time").locator(".sub")).to_contain_text("10 of 10 cells drift")
    expect(card(page, "Reference and window").locator(".sub")).to_contain_text("score where country is DE")


def test_an_alert_opens_to_its_cause_its_sql_and_its_rows(open_page: Open, dashboard: str, sql: Client) -> None:
    page = open_page(f"{dashboard}/alerts")
    expect(page.locator(".alert")).to_have_count(3)
    page.get_by_role("button", name="Critical").click()
    expect(page.locator(".alert")).to_have_count(1)
    alert = page.locator(".alert").first
    alert.locator(".q-item").click()
    expect(alert).to_contain_text("That is 2 times the objective or more.")
    expect(alert.locator("pre")).to_contain_text("latency_ms > 100")
    alert.get_by_role("button", name="rows").click()
    query = sql.query(f"SELECT query FROM alerts WHERE id = 'a2' AND model = '{seed.MODEL}'").result_rows[0][0]
    ids = [row[0] for row in sql.query(query).result_rows[:20]]
    expect(alert.locator("tbody tr")).to_have_count(len(ids))
    assert alert.locator("tbody td:first-child").all_inner_texts() == ids


def test_range_and_scale_are_a_persons_choice(open_page: Open, dashboard: str) -> None:
    page = open_page(f"{dashboard}/model/{quote(seed.MODEL, safe='')}")
    expect(page.get_by_role("button", name="All")).to_have_attribute("aria-pressed", "true")  # it is history
    page.get_by_role("button", name="Day", exact=True).first.click()
    page.wait_for_function(f"{FIRST_CHART}.series[0].data.length === 24")
    page.wait_for_url("**?span=day&tab=behaviour")
    page.get_by_role("switch", name="log").click()
    page.wait_for_function(f"{FIRST_CHART}.yAxis[0].type === 'log'")


def test_a_model_that_nobody_has_seen_is_told_apart_from_one_without_data(open_page: Open, dashboard: str) -> None:
    page = open_page(f"{dashboard}/model/nobody")
    expect(page.locator(".lead").first).to_have_text("No events of this model have arrived.")
    expect(page.locator(".panel").first).to_be_hidden()


def test_names_that_are_code_are_only_names(open_page: Open, dashboard: str) -> None:
    page = open_page(dashboard)
    page.get_by_role("link", name=seed.ODD_MODEL, exact=True).click()
    page.wait_for_url("**/model/**")
    page.wait_for_function(READ)
    expect(page.locator("h1")).to_contain_text(seed.ODD_MODEL)
    option = options(page, "Drift by signal and time")
    assert option["yAxis"][0]["data"] == [seed.ODD_FEATURE]
    labels = options(page, "Reference and window")["xAxis"][0]["data"]
    assert {seed.ODD_CATEGORY, "<img src=x onerror=alert(2)>"} <= set(labels)
    assert page.locator("main img, main script").count() == 0
    told = page.evaluate("driftline.lines(['<img src=x onerror=alert(3)>'])")
    assert "<img" not in told
    page.goto(f"{dashboard}/alerts?model={quote(seed.ODD_MODEL, safe='')}")
    page.wait_for_function(READ)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_in_light_and_dark_wide_and_narrow(
    open_page: Open, dashboard: str, scheme: str, tmp_path: Path
) -> None:
    page = open_page(model_page(dashboard), scheme=scheme)
    ground = luminance(page, "document.body", "backgroundColor")
    ink = luminance(page, "document.querySelector('h1')", "color")
    assert contrast(ground, ink) > 7
    assert (ground > ink) == (scheme == "light")
    assert options(page, "Latency")
    color = {"light": "#5d6b7a", "dark": "#9aa7b5"}[scheme]  # charts are drawn again once the page has told its scheme
    page.wait_for_function(f"{FIRST_CHART}.xAxis[0].axisLabel.color === '{color}'")
    assert page.locator(".nicegui-echart:has(canvas)").count() == 5
    for tab, title in (("Behaviour", "Latency"), ("Performance", "What is taken for what?")):
        page.get_by_role("tab", name=tab).click()
        assert options(page, title)
        for width in (1440, 390):
            page.set_viewport_size({"width": width, "height": 1000})
            page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
            assert len(page.screenshot(path=tmp_path / f"{scheme}-{tab}-{width}.png", full_page=True)) > 50_000


def test_the_theme_that_was_chosen_stays(open_page: Open, dashboard: str) -> None:
    page = open_page(model_page(dashboard), scheme="light")
    page.get_by_role("button", name="theme").click()  # light
    page.get_by_role("button", name="theme").click()  # dark
    page.wait_for_function("driftline.dark()")
    page.wait_for_function(f"{FIRST_CHART}.xAxis[0].axisLabel.color === '#9aa7b5'")
    page.reload()
    page.wait_for_function(f"driftline.dark() && {READ}")


def test_a_dashboard_without_data_says_what_to_do_and_fills_itself(
    open_page: Open, served: Any, on_clickhouse: Callable[..., Settings], clickhouse: Any
) -> None:
    own = on_clickhouse()
    with served(own) as address:
        page = open_page(address, ready=None)
        expect(page.locator("body")).to_contain_text("driftline migrate")
        sink = ClickHouse(own)
        migrate(sink)
        sink.close()
        expect(page.locator("body")).not_to_contain_text("driftline migrate")
        expect(page.locator("h1")).to_contain_text("No predictions yet")
        expect(page.locator("pre", has_text="PredictionLogger")).to_be_visible()
        with clickhouse.client(own.clickhouse_database) as client:
            seed.windows(client, "first", "v1", range(2))
        expect(page.locator(".strip", has_text="v1")).to_be_visible()
        expect(page.locator("h1")).to_have_count(0)
        page.close()  # before its server is gone, which it would complain about


def test_new_rows_appear_without_a_reload(open_page: Open, dashboard: str, sql: Client) -> None:
    seed.windows(sql, "live", "v1", range(10))
    page = open_page(f"{dashboard}/model/live")
    before = len(line(options(page, "Latency"), "v1 p50"))
    assert before == 10
    seed.windows(sql, "live", "v1", range(10, 15))
    page.wait_for_function(f"{FIRST_CHART}.series[0].data.length === 15")


def test_when_clickhouse_is_gone_it_says_so_and_keeps_what_it_has(open_page: Open, dashboard: str, wire: Wire) -> None:
    page = open_page(model_page(dashboard))
    wire.cut()
    try:
        expect(page.locator(".outage")).to_contain_text("has not answered since")
        expect(page.locator(".strip")).to_have_count(2)
        assert line(options(page, "Latency"), f"{seed.VERSIONS[0]} p99")
    finally:
        wire.mend()
    expect(page.locator(".outage")).to_be_hidden()


def test_the_picture_of_the_docs(open_page: Open, dashboard: str) -> None:
    target = os.environ.get("SCREENSHOT")
    if not target:
        pytest.skip("set SCREENSHOT to a file to write the picture, and SCREENSHOT_OF to another page's address")
    address = os.environ.get("SCREENSHOT_OF") or model_page(dashboard)
    page = open_page(address, height=1000)
    page.screenshot(path=target)
    assert Path(target).stat().st_size < 400_000


class Wire:
    """A TCP connection to ClickHouse that can be cut and mended."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._open: list[socket.socket] = []
        self._whole = True
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._listener.close()

    def cut(self) -> None:
        self._whole = False
        for end in self._open:
            _close(end)
        self._open.clear()

    def mend(self) -> None:
        self._whole = True

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self._whole:
                near.close()
                continue
            far = socket.create_connection(self._to)
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(source, sink), daemon=True).start()


def _close(end: socket.socket) -> None:
    with suppress(OSError):  # the other side was faster
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    _close(sink)


def luminance(page: Page, element: str, style: str) -> float:
    """Relative luminance of a colour on the page (WCAG 2, between 0 and 1)."""
    colour: str = page.evaluate(f"getComputedStyle({element}).{style}")
    parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: float, other: float) -> float:
    return (max(one, other) + 0.05) / (min(one, other) + 0.05)
