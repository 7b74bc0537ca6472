"""The Win-back tab in a real browser, behind Airflow's login."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.wait import WebDriverWait

from tests.live import LiveInstance

pytestmark = pytest.mark.timeout(300)
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1280,1400",
)  # fmt: skip


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[WebDriver]:
    if not CHROMIUM or not DRIVER:
        pytest.skip("no browser: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


def log_in(browser: WebDriver, live: LiveInstance) -> None:
    browser.get(live.state["urls"]["airflow"])
    wait = WebDriverWait(browser, 40)
    user = wait.until(expected_conditions.element_to_be_clickable((By.NAME, "username")))
    user.send_keys("admin")
    browser.find_element(By.NAME, "password").send_keys(live.secrets["admin_password"])
    browser.find_element(By.CSS_SELECTOR, "button[type=submit], button").click()
    wait.until(lambda driver: "login" not in driver.current_url)


def test_the_tab_shows_summary_and_charts(live: LiveInstance, browser: WebDriver) -> None:
    log_in(browser, live)
    wait = WebDriverWait(browser, 40)
    tab = wait.until(
        expected_conditions.presence_of_element_located((By.PARTIAL_LINK_TEXT, "Win-back"))
    )
    assert "/plugin/winback" in (tab.get_attribute("href") or "")
    browser.get(f"{live.state['urls']['airflow']}/plugin/winback")
    frame = wait.until(expected_conditions.presence_of_element_located((By.TAG_NAME, "iframe")))
    browser.switch_to.frame(frame)
    wait.until(expected_conditions.presence_of_element_located((By.ID, "chart-inactive")))
    for chart in ("chart-inactive", "chart-states"):
        marks = wait.until(
            lambda driver, chart=chart: driver.find_elements(
                By.CSS_SELECTOR, f"#{chart} svg g.mark-line path, #{chart} svg g.mark-rect path"
            )
        )
        assert marks, chart
    text = browser.find_element(By.TAG_NAME, "body").text
    assert f"as of {live.shop.as_of}" in text
    assert "25\ncustomers" in text
    assert "20\nbought nothing for 180 days" in text
    assert "welcome_back" in text
    assert "open: people may still come back until" in text
    errors = [
        entry
        for entry in browser.get_log("browser")
        if entry["level"] == "SEVERE" and "/winback/" in entry["message"]
    ]
    assert errors == []


def test_the_stop_button_is_a_click_away_from_the_tab(
    live: LiveInstance, browser: WebDriver
) -> None:
    log_in(browser, live)
    browser.get(f"{live.state['urls']['airflow']}/plugin/winback")
    wait = WebDriverWait(browser, 40)
    frame = wait.until(expected_conditions.presence_of_element_located((By.TAG_NAME, "iframe")))
    browser.switch_to.frame(frame)
    link = wait.until(
        expected_conditions.element_to_be_clickable((By.PARTIAL_LINK_TEXT, "pause, resume"))
    )
    link.click()
    wait.until(expected_conditions.number_of_windows_to_be(2))
    browser.switch_to.window(browser.window_handles[-1])
    wait.until(expected_conditions.url_contains("/dags/winback_hold"))
    wait.until(
        expected_conditions.presence_of_element_located(
            (By.XPATH, "//button[contains(., 'Trigger')]")
        )
    )


def test_nothing_is_fetched_from_elsewhere(live: LiveInstance, browser: WebDriver) -> None:
    log_in(browser, live)
    browser.get_log("performance")
    browser.get(f"{live.state['urls']['airflow']}/winback/dashboard")
    WebDriverWait(browser, 40).until(
        expected_conditions.presence_of_element_located((By.CSS_SELECTOR, "#chart-inactive svg"))
    )
    import json

    asked = [
        message["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    ]
    assert any(url.endswith("/winback/static/vega.js") for url in asked)
    home = live.state["urls"]["airflow"]
    assert [url for url in asked if not url.startswith((home, "data:"))] == []


def test_without_login_there_is_nothing_to_see(live: LiveInstance) -> None:
    url = f"{live.state['urls']['airflow']}/winback/dashboard"
    assert httpx.get(url, trust_env=False).status_code == 401
    forged = {"_token": "x.y.z"}
    assert httpx.get(url, cookies=forged, trust_env=False).status_code in (401, 403)


def test_the_unsubscribe_page_is_for_everybody(live: LiveInstance, browser: WebDriver) -> None:
    from winback.privacy.keyed_hash import keyed_hash

    [(message_id, address_hash)] = live.ask(
        "select message_id, address_hash from ops.outreach where state = 'delivered'"
        " and not exists (select 1 from ops.suppression as s"
        " where s.address_hash = ops.outreach.address_hash) limit 1"
    )
    token = message_id.hex + keyed_hash("unsubscribe", message_id.hex, live.secrets["key"])
    suppressed = f"select reason from ops.suppression where address_hash = '{address_hash}'"
    browser.get(f"{live.state['urls']['airflow']}/winback/unsubscribe/{token}")
    button = browser.find_element(By.TAG_NAME, "button")
    assert live.ask(suppressed) == []
    button.click()
    WebDriverWait(browser, 20).until(
        expected_conditions.text_to_be_present_in_element((By.TAG_NAME, "main"), "no more")
    )
    assert live.ask(suppressed) == [("unsubscribe",)]
