#!/usr/bin/python3
"""The web page in a real browser: every view, live, against a running aggregator and simulated agents.

Usage: page_test.py BINARIES [TEST…]     BINARIES: folder of bongsu, bongsu-aggregator and bongsu-fleet
Needs Debian's chromium, chromium-driver and python3-selenium. Nothing here waits for a fixed time: each step waits until
what it needs is there, and fails when that takes far too long.
"""
import json, os, pathlib, re, shutil, socket, subprocess, sys, tempfile, time, unittest, urllib.parse, urllib.request

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.common.exceptions import StaleElementReferenceException, NoSuchElementException

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 60  # seconds; a machine that builds beside is slow


class Bongsu:
    """An aggregator with simulated agents, on ports of its own."""

    def __init__(self, binaries):
        self.binaries = pathlib.Path(binaries)
        self.folder = tempfile.mkdtemp(prefix="bongsu-page-")
        self.http, self.ingest = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.http}"
        self.processes = {}

    def start(self, name, *arguments):
        with open(f"{self.folder}/{name}.log", "a") as log:
            self.processes[name] = subprocess.Popen(
                [self.binaries / name, *arguments], stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def start_aggregator(self, *more):
        self.start(
            "bongsu-aggregator", "--fleet", HERE / "fleet.yaml", "--data", f"{self.folder}/data", "--rules", HERE / "rules.yaml",
            "--listen", f"127.0.0.1:{self.ingest}", "--http", f"127.0.0.1:{self.http}", *more)

    def start_fleet(self):
        # All but the hall that is planned.
        planned = [part for rack in range(1, 5) for node in (1, 2) for part in ("--exclude", f"north-b-r{rack:02}-n{node}")]
        self.start("bongsu-fleet", "--fleet", HERE / "fleet.yaml", "--aggregator", f"127.0.0.1:{self.ingest}", *planned)

    def stop(self, name, kill=False):
        process = self.processes.pop(name, None)
        if process:
            process.kill() if kill else process.terminate()
            process.wait(timeout=PATIENCE)

    def command(self, *arguments):
        return subprocess.run(
            [self.binaries / "bongsu", *arguments], env={**os.environ, "BONGSU_URL": self.url}, check=True,
            capture_output=True, text=True, timeout=PATIENCE).stdout

    def end(self):
        for name in list(self.processes):
            self.stop(name, kill=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, check, patience=PATIENCE):
    """Waits until `check` gives something that counts as true; says what was waited for when it does not."""
    end = time.monotonic() + patience
    problem = None
    while time.monotonic() < end:
        try:
            value = check()
            if value:
                return value
        except (StaleElementReferenceException, NoSuchElementException, AssertionError, IndexError) as error:
            problem = error
        time.sleep(0.1)
    raise AssertionError(f"waited {patience} s for {what}" + (f"; last: {problem}" if problem else ""))


def browser(width=1280, height=900, language="en"):
    options = Options()
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", f"--lang={language}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"intl.accept_languages": language})
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
    size(driver, width, height)
    return driver


def size(driver, width, height):
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", dict(width=width, height=height, deviceScaleFactor=1, mobile=False))


def setUpModule():
    global bongsu, page
    bongsu = Bongsu(BINARIES)
    bongsu.start_aggregator()
    until("the aggregator to be ready", lambda: answers(bongsu.url + "/-/ready"))
    bongsu.start_fleet()
    page = browser()


def tearDownModule():
    page.quit()
    bongsu.end()


def answers(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class PageTest(unittest.TestCase):
    def open(self, place="#/", language="en", theme="light"):
        if not page.current_url.startswith(bongsu.url):
            page.get(bongsu.url + "/")
        page.execute_script(f"localStorage.setItem('bongsu-language', '{language}'); localStorage.setItem('bongsu-theme', '{theme}')")
        page.get("about:blank")
        page.get(bongsu.url + "/" + place)

    def text(self, selector):
        return page.find_element(By.CSS_SELECTOR, selector).text

    def all(self, selector):
        return page.find_elements(By.CSS_SELECTOR, selector)

    def see(self, selector, pattern=".", what=None):
        """Waits for an element whose text matches."""
        def look():
            for element in self.all(selector):
                if re.search(pattern, element.text):
                    return element
        return until(what or f"{selector} with {pattern!r}", look)

    def row(self, name):
        return until(f"a row {name!r}", lambda: next(
            (row for row in self.all("table.rows tbody tr") if row.is_displayed() and name in row.text), None))

    def cell(self, name, label):
        return self.row(name).find_element(By.CSS_SELECTOR, f'td[data-label="{label}"]').text

    def tearDown(self):
        # Nothing may be refused by the page's own policy, and no script may fail, whatever the test did.
        log = [entry["message"] for entry in page.get_log("browser") if entry["level"] == "SEVERE"]
        allowed = r"net::ERR_(?!BLOCKED)|status of 401|status of 400|status of 503"
        self.assertEqual([line for line in log if not re.search(allowed, line)], [])


class Views(PageTest):
    def test_nation_is_live(self):
        self.open()
        self.see(".tile.main .value", r"^[\d.]+ kW$")
        self.assertEqual(page.title, "Nation · Bongsu")
        until("all GPUs to report", lambda: self.cell("North Works", "Coverage") == "100 %")
        names = [element.text.split("\n")[0] for element in self.all("table.rows:first-of-type tbody tr .name") if element.is_displayed()]
        self.assertEqual(names[:2], ["South Works", "North Works"], "the factory nearest to its contract comes first")
        self.assertRegex(self.cell("South Works", "Of contract"), r"\d+ %")
        self.assertEqual(self.cell("Blue Ministry", "Granted"), "120")
        self.assertEqual(self.cell("Green Company", "Reporting"), "112")
        # A contract of a hall that is only planned does not count.
        self.assertRegex(self.cell("North Works", "Contract"), r"^900\.0 kW$")
        before = self.text("#live")
        self.assertRegex(before, r"^\d\d:\d\d:\d\d KST$")
        until("the clock to go on", lambda: self.text("#live") != before)
        power = self.text(".tile.main .value")
        until("power to change", lambda: self.text(".tile.main .value") != power)
        self.assertTrue(page.execute_script(
            "const c = document.querySelector('.tile canvas'); return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(Boolean)"),
            "the course of the last minutes is drawn")

    def test_sorting_by_idle_answers_which_allocation_idles_most(self):
        for width in (1280, 400):
            size(page, width, 900)
            try:
                self.sort_by_idle()
            finally:
                size(page, 1280, 900)

    def sort_by_idle(self):
        self.open()
        self.row("Blue Ministry")
        head = next(head for head in self.all("table.rows thead th.idle"))
        head.find_element(By.TAG_NAME, "button").click()
        self.assertEqual(head.get_attribute("aria-sort"), "descending")
        def ordered():
            texts = [row.find_element(By.CSS_SELECTOR, "td.idle b").text.replace(",", "")
                     for row in self.all('table.rows tbody tr[data-depth="0"]') if row.is_displayed()]
            # Before the first figures there is a dash.
            idle = [int(text) for text in texts if text.isdigit()]
            return len(idle) == len(texts) == 2 and idle == sorted(idle, reverse=True)
        until("rows in order of idle GPUs", ordered)

    def test_drill_down_to_a_gpu(self):
        self.open()
        self.row("North Works").click()
        self.see(".crumbs h1", "^North Works$")
        self.see(".tile.main .remark", "of 900.0 kW contract")
        self.assertEqual(len(self.all(".racks")), 2)
        until("racks with data", lambda: len(self.all(".hall:nth-of-type(1) .rack:not(.none)")) == 12)
        planned = [cell for cell in self.all(".rack.none") if "r0" in (cell.get_attribute("aria-label") or "")]
        self.assertEqual(len(planned), 4, "racks of a planned hall are shown as without data")
        self.assertRegex(planned[0].get_attribute("aria-label"), r"^r01: no data$")
        for figure, pattern in [("temperature", r"^r01: \d+ °C$"), ("coverage", r"^r01: 100 %$"), ("utilization", r"^r01: [\d.]+ %$"), ("power", r"^r01: [\d.]+ kW$")]:
            page.find_element(By.CSS_SELECTOR, f'input[value="{figure}"]').click()
            until(f"the map to show {figure}", lambda: re.search(pattern, self.all(".rack[href]")[0].get_attribute("aria-label")))
        self.assertIn("blue/research", self.row("research").text)
        # Arrow keys walk the map, Enter opens.
        first = self.all(".rack[href]")[0]
        page.execute_script("arguments[0].focus()", first)
        first.send_keys(Keys.ARROW_RIGHT)
        page.switch_to.active_element.send_keys(Keys.ENTER)
        self.see(".crumbs h1", "rack r02, hall a")
        self.see(".tile.main .remark", "of 26.00 kW rating")
        until("nodes that deliver", lambda: self.cell("north-a-r02-n1", "State") == "delivers")
        self.assertEqual(self.cell("north-a-r02-n1", "Reporting"), "8 / 8")
        page.find_element(By.LINK_TEXT, "north-a-r02-n1").click()
        self.see(".lead", "delivers · GPUs draw")
        until("eight GPUs", lambda: len(self.all("table.rows tbody tr")) == 8)
        self.assertRegex(self.all("table.rows tbody tr")[0].text, r"H100")
        self.assertRegex(self.all('td[data-label="Power"]')[0].text, r"\d+ W")
        page.find_element(By.LINK_TEXT, "blue/research").click()
        self.see(".crumbs h1", "^research$")

    def test_allocation(self):
        self.open("#/allocation/blue")
        self.see(".crumbs h1", "^Blue Ministry$")
        tiles = lambda: {tile.find_element(By.CSS_SELECTOR, ".label").text: tile.find_element(By.CSS_SELECTOR, ".value").text for tile in self.all(".tile:not(.course)")}
        until("all of it to report", lambda: tiles()["GPUs reporting"] == "112")
        self.assertEqual(tiles()["Granted"], "120")
        self.assertEqual(int(tiles()["Busy"]) + int(tiles()["Idle"]), 112)
        self.assertRegex(tiles()["GPU energy"], r"[\d.]+ kWh")
        self.assertEqual(self.cell("North Works", "Reporting"), "96")
        self.assertEqual(self.cell("training", "Reporting"), "16")

    def test_alert_and_why_it_fired(self):
        self.open()
        alarm = self.see(".alarm.critical", "SouthDrawsPower")
        self.assertRegex(alarm.text, r"South Works draws [\d.]+kW")
        self.assertRegex(self.see(".badge").text, r"^\d+$")
        alarm.click()
        details = self.see("details[open]", "SouthDrawsPower")
        self.assertIn('factory:bongsu_facility_power_watts:sum{factory="south"} > 1000', details.text)
        self.assertIn("nobody: no receiver is configured", details.text)
        self.see("table.rows tbody tr", r"SouthDrawsPower.*south.*firing")
        details.find_element(By.CSS_SELECTOR, "a.graph").click()
        self.see(".querying table.rows tbody tr", "south")

    def test_query(self):
        self.open("#/query")
        field = until("the field", lambda: page.find_element(By.ID, "expression"))
        field.send_keys("allocation:bongsu_gpus:reporting", Keys.ENTER)
        self.see(".lead", r"^5 series in \d+ ms")
        until("a chart with ink", lambda: page.execute_script(
            "const c = document.querySelector('.chart canvas'); return c.width > 500 && c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some(Boolean)"))
        self.assertIn("112", self.row("green").text)
        self.assertIn("expr=allocation%3Abongsu_gpus%3Areporting", page.current_url)
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys("sum(", Keys.ENTER)
        self.see(".lead", "^▲ .*parse error")

    def test_course_of_an_alert_is_that_of_its_place_beside_its_threshold(self):
        self.open("#/alerts")
        labels = {"factory": "north", "meter": 'a "b"', "hall": "h", "rack": "r1", "node": "n1", "gpu": "2", "allocation": "x/y"}
        for rule, course in {
            "meter:bongsu_demand_watts:forecast15m >= meter:bongsu_contract_power_watts:warn\nor\nALERTS":
                r'{__name__=~"meter:bongsu_demand_watts:forecast15m|meter:bongsu_contract_power_watts:warn",factory="north",meter="a \"b\""}',
            "rack:bongsu_gpus:a > rack:bongsu_gpus:b * 2": 'rack:bongsu_gpus:a{factory="north",hall="h",rack="r1"}',
            "nation:bongsu_coverage:ratio < nation:bongsu_coverage:least": '{__name__=~"nation:bongsu_coverage:ratio|nation:bongsu_coverage:least"}',
            "factory:bongsu_power_lost_ratio:10s > 0.2 and factory:bongsu_coverage:ratio > 0.95": 'factory:bongsu_power_lost_ratio:10s{factory="north"}',
            "-factory:bongsu_power_change_watts:10s > factory:bongsu_power_change_limit_watts:10s": '-factory:bongsu_power_change_watts:10s{factory="north"}',
            "avg_over_time(allocation:bongsu_gpus_power_capped:ratio[60s]) > 0.2": 'avg_over_time(allocation:bongsu_gpus_power_capped:ratio{allocation="x/y"}[60s])',
            'factory:bongsu_coverage:ratio{factory=~"n.*"} < 1': 'factory:bongsu_coverage:ratio{factory=~"n.*"}',
            "bongsu_gpu_power_watts > bongsu_gpu_power_limit_watts * 1.05": 'bongsu_gpu_power_watts{factory="north",node="n1",gpu="2"}',
            "sum by (node) (up) > 1": "sum by (node) (up)",
            "own:rule:name > other:rule:name": "own:rule:name",
        }.items():
            with self.subTest(rule):
                self.assertEqual(course, page.execute_async_script(
                    "const [rule, labels, done] = arguments; import('/page/alerts.js').then((module) => done(module.course(rule, labels)), (error) => done(String(error)))",
                    rule, labels))

    def drawn(self, color, what):
        """Waits for ink of a series' colour, as `rgb` hexadecimal, within the axes of the chart; tells how many pixels."""
        return until(what, lambda: page.execute_script("""
            const canvas = document.querySelector('.chart canvas');
            const chart = window.Chart?.getChart(canvas);
            if (!chart || canvas.offsetParent === null) return 0;
            const { left, top, width, height } = chart.chartArea;
            const wanted = [0, 2, 4].map((place) => parseInt(arguments[0].slice(place, place + 2), 16));
            const pixels = canvas.getContext('2d').getImageData(left, top, width, height).data;
            let found = 0;
            for (let index = 0; index < pixels.length; index += 4) if (wanted.every((part, offset) => Math.abs(pixels[index + offset] - part) < 16)) found += 1;
            return found;""", color))

    def test_a_single_value_is_drawn_as_a_point(self):
        # One step of the chart lies in these four seconds, whichever they begin with.
        start = int(time.time()) // 4 * 4 - 400
        query = f"vector(7) and on() (vector(time()) >= {start} < {start + 4})"
        self.open("#/query?" + urllib.parse.urlencode({"expr": query, "range": "15m"}))
        self.see(".lead", r"^1 series in \d+ ms")
        self.assertLess(self.drawn("0072b2", "a point"), 100, "a point, no line")

    def test_demand_of_meters_has_a_course(self):
        query = 'meter:bongsu_demand_watts:forecast15m{meter="north-main"}'
        def length():
            self.open("#/query?" + urllib.parse.urlencode({"expr": query, "range": "15m"}))
            self.see(".lead", r"^(1 series in \d+ ms|0 series)")
            self.drawn("0072b2", "the course") if "1 series" in self.text(".lead") else None
            return page.execute_script("const chart = window.Chart?.getChart(document.querySelector('.chart canvas')); return chart ? chart.data.datasets[0].data.length : 0")
        until("values of several steps", lambda: length() >= 4)
        self.assertRegex(self.cell("north-main", "Newest"), r"^[\d.]+ kW$", "the unit is told")

    def test_unknown_place(self):
        self.open("#/factory/atlantis")
        self.see(".hint", 'no factory is called "atlantis"')
        page.find_element(By.LINK_TEXT, "Back to the nation").click()
        self.row("North Works")


class Reading(PageTest):
    """For everybody: languages, widths, keyboards, screen readers."""

    PLACES = ["#/", "#/factory/north", "#/factory/north/a/r01", "#/node/north-a-r01-n1", "#/allocation/blue", "#/alerts", "#/query?expr=nation:bongsu_coverage:ratio"]

    def test_phone_width_has_no_sideways_scrolling(self):
        size(page, 400, 860)
        try:
            for place in self.PLACES:
                self.open(place, theme="dark")
                self.see("main .view", r"\d")
                until(f"{place} to fit", lambda: page.execute_script("return document.documentElement.scrollWidth") <= 400, 5)
        finally:
            size(page, 1280, 900)

    def test_korean(self):
        self.open("#/", language="ko")
        self.see("#tabs", "국가")
        self.see(".tile .label", "전력\\(냉각 포함\\)")
        self.assertEqual(page.execute_script("return document.documentElement.lang"), "ko")
        page.find_element(By.ID, "language").click()
        self.see("#tabs", "Nation")
        self.assertEqual(page.execute_script("return document.documentElement.lang"), "en")

    def test_browser_language_is_the_default(self):
        other = browser(language="ko-KR")
        try:
            other.get(bongsu.url + "/")
            until("Korean", lambda: "국가" in other.find_element(By.ID, "tabs").text)
        finally:
            other.quit()

    def test_keyboard_reaches_everything(self):
        self.open()
        self.row("North Works")
        body = page.find_element(By.TAG_NAME, "body")
        body.send_keys(Keys.TAB)
        self.assertEqual(page.switch_to.active_element.get_attribute("id"), "skip")
        seen = []
        for _ in range(60):
            page.switch_to.active_element.send_keys(Keys.TAB)
            active = page.switch_to.active_element
            seen.append(active.text)
            if active.text == "North Works":
                break
        self.assertEqual(seen[-1], "North Works", seen)
        self.assertTrue({"Nation", "Alerts", "Query", "Utilization"} <= {text.split("\n")[0] for text in seen}, seen)
        page.switch_to.active_element.send_keys(Keys.ENTER)
        self.see(".crumbs h1", "North Works")

    def test_tables_are_tables_to_a_screen_reader_at_any_width(self):
        for width in (1280, 400):
            size(page, width, 900)
            try:
                self.open()
                self.row("North Works")
                tree = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
                roles = [node["role"]["value"] for node in tree if not node["ignored"] and "role" in node]
                names = {node["role"]["value"]: [] for node in tree if "role" in node}
                for node in tree:
                    if not node["ignored"] and "role" in node:
                        names[node["role"]["value"]].append(node.get("name", {}).get("value", ""))
                self.assertEqual(roles.count("table"), 2, f"at {width}")
                self.assertTrue(any("Factories" in name for name in names["table"]), names["table"])
                self.assertIn("North Works Northern Power", [re.sub(r"\s+", " ", name) for name in names["rowheader"]])
                self.assertGreaterEqual(roles.count("columnheader"), 14, f"at {width}")
                self.assertTrue(all(name.strip() for name in names["button"]), names["button"])
                self.assertTrue(all(name.strip() for name in names["link"]), names["link"])
            finally:
                size(page, 1280, 900)

    def test_text_can_be_told_from_its_ground(self):
        css = urllib.request.urlopen(bongsu.url + "/page/style.css").read().decode()
        def light(color):
            parts = [int(color[index:index + 2], 16) / 255 for index in (1, 3, 5)]
            parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]
        blocks = re.findall(r"\{\s*(--ground.*?)color-scheme", css, re.S)
        self.assertEqual(len(blocks), 3)
        for block in blocks:
            colors = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
            for ink in ("ink", "soft", "blue", "warn", "bad"):
                for ground in ("sheet", "ground", "raised"):
                    low, high = sorted((light(colors[ink]), light(colors[ground])))
                    self.assertGreaterEqual((high + 0.05) / (low + 0.05), 4.5, f"{ink} {colors[ink]} on {ground} {colors[ground]}")


class ZTrouble(PageTest):
    """Runs last: what happens when the aggregator goes, and when it asks who we are."""

    def test_1_restart(self):
        self.open()
        self.see("#live", r"^\d\d:\d\d:\d\d")
        page.execute_script("window.sameDocument = true")
        bongsu.stop("bongsu-aggregator", kill=True)
        self.see("#live", "connection lost, figures are [0-9]+ s old")
        self.assertIn("stale", page.find_element(By.TAG_NAME, "body").get_attribute("class"))
        self.assertRegex(self.text(".tile.main .value"), "kW", "the last figures stay, marked as old")
        bongsu.start_aggregator()
        self.see("#live", r"^\d\d:\d\d:\d\d KST$")
        self.assertNotIn("stale", page.find_element(By.TAG_NAME, "body").get_attribute("class"))
        self.assertTrue(page.execute_script("return window.sameDocument"), "the page reconnects without being loaded again")

    def test_2_agents_vanish(self):
        self.open()
        self.see("#live", r"^\d\d:\d\d:\d\d")
        until("all to report", lambda: self.cell("South Works", "Coverage") == "100 %")
        bongsu.stop("bongsu-fleet", kill=True)
        until("the estimated part to be marked", lambda: "100 % estimated" in self.row("South Works").text)
        until("coverage to be marked", lambda: self.cell("South Works", "Coverage") == "◆ 0 %")
        self.assertEqual(self.cell("South Works", "Utilization"), "–", "what nobody reports is absent, not zero")
        bongsu.start_fleet()
        until("agents to be back", lambda: self.cell("South Works", "Coverage") == "100 %")

    def test_3_scoped_token(self):
        token = bongsu.command("token", "create", "--name", "green", "--match", 'allocation="green"').split()[0]
        bongsu.stop("bongsu-aggregator")
        bongsu.start_aggregator("--http-require-token")
        until("the aggregator to listen", lambda: listens(bongsu.http))
        self.open()
        until("the question who asks", lambda: page.find_element(By.ID, "token-field").is_displayed())
        field = page.find_element(By.ID, "token-field")
        field.send_keys("not-a-token-at-all", Keys.ENTER)
        self.see("#token-error", "not known")
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(token, Keys.ENTER)
        self.row("Green Company")
        until("its GPUs to report", lambda: self.cell("Green Company", "Reporting") == "112")
        text = self.text("main")
        self.assertNotIn("Blue", text)
        self.assertNotIn("contract", text)
        self.assertIn("This token sees", self.text("#foot"))
        self.assertEqual(self.cell("North Works", "Reporting"), "96", "of a factory its own share")
        self.assertFalse(self.all(".alarm"), "alerts of others are not told")
        self.assertNotIn(token, page.execute_script("return document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)"))
        self.row("North Works").click()
        self.see(".hint", "a share of this factory")
        self.assertFalse(self.all(".rack[href]"))
        for place in ("#/allocation/blue", "#/node/north-a-r01-n1", "#/factory/north/a/r01"):
            self.open(place)
            self.see(".hint", "This cannot be shown")
        self.open("#/node/north-a-r12-n1")
        until("its own node", lambda: len(self.all("table.rows tbody tr")) == 8)
        self.open("#/alerts")
        self.see(".lead", "No alert is firing")
        leave = page.find_element(By.ID, "leave")
        until("a way out", leave.is_displayed)
        leave.click()
        until("the question who asks", lambda: page.find_element(By.ID, "token-field").is_displayed())


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    BINARIES = sys.argv.pop(1)
    unittest.main(verbosity=2)
