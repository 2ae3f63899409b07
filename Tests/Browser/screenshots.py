#!/usr/bin/python3
"""Screenshots of the page over the national fleet, for people who judge how it looks and for the README.

Usage: screenshots.py BINARIES FOLDER [--nodes N] [--seconds S]
Starts an aggregator and simulated agents of all halls in service, waits S seconds (default 330, so that the courses of five
minutes are full), then takes each view wide and narrow, light and dark, in English and Korean, and prints how long the nation
took to appear. Needs Debian's python3-yaml as well.
"""
import argparse, pathlib, sys, time

import yaml

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import page_test

ROOT = pathlib.Path(__file__).resolve().parents[2]
VIEWS = {"nation": "#/", "factory": "#/factory/nhn-cloud", "allocation": "#/allocation/msit", "alerts": "#/alerts", "rack": "#/factory/nhn-cloud/a/r012", "node": "#/node/nhn-cloud-a-r012-n1", "query": "#/query?expr=meter:bongsu_demand_watts:forecast15m"}
LOOKS = [
    (f"{name}-{theme}-{language}", width, 860, theme, language)
    for name, width in (("wide", 1280), ("narrow", 400)) for theme in ("light", "dark") for language in ("en", "ko")]
# Milliseconds from the start of navigation until the first row of a table stands.
FIRST_VIEW = """
const done = arguments[arguments.length - 1];
(function look() { document.querySelector("tbody tr") ? done(performance.now()) : requestAnimationFrame(look); })();
"""


def in_service(text):
    """The part of a fleet file that is in service: what the simulated agents stand for."""
    fleet = yaml.safe_load(text)
    for factory in fleet["factories"]:
        factory["halls"] = [hall for hall in factory["halls"] if not hall.get("planned")]
        factory.pop("meters", None)
    fleet["factories"] = [factory for factory in fleet["factories"] if factory["halls"]]
    fleet["allocations"] = [allocation for allocation in fleet["allocations"] if "hosted" in allocation["path"] or allocation["path"] == "msit"]
    return yaml.safe_dump(fleet, allow_unicode=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binaries")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--nodes", default="")
    parser.add_argument("--seconds", type=int, default=330)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    bongsu = page_test.Bongsu(options.binaries)
    page = None
    try:
        bongsu.start(
            "bongsu-aggregator", "--fleet", ROOT / "ops/fleets/korea.yaml", "--data", f"{bongsu.folder}/data", "--page", ROOT / "Aggregator/API/Page",
            "--listen", f"127.0.0.1:{bongsu.ingest}", "--http", f"127.0.0.1:{bongsu.http}")
        page_test.until("the aggregator", lambda: page_test.answers(bongsu.url + "/-/ready"))
        (pathlib.Path(bongsu.folder) / "fleet.yaml").write_text(in_service((ROOT / "ops/fleets/korea.yaml").read_text()))
        nodes = ["--nodes", options.nodes] if options.nodes else []
        bongsu.start(
            "bongsu-fleet", "--fleet", pathlib.Path(bongsu.folder) / "fleet.yaml", "--aggregator", f"127.0.0.1:{bongsu.ingest}",
            "--scenario", ROOT / "Tests/Browser/scenario.yaml", *nodes)
        end = time.monotonic() + options.seconds
        while time.monotonic() < end:
            time.sleep(1)
            if bongsu.processes["bongsu-fleet"].poll() is not None:
                sys.exit("the simulated agents have ended: " + pathlib.Path(bongsu.folder, "bongsu-fleet.log").read_text()[-300:])
        page = page_test.browser()
        for look, width, height, theme, language in LOOKS:
            for view, place in VIEWS.items():
                page.get("about:blank")
                page_test.size(page, width, height)
                page.get(bongsu.url + "/")
                page.execute_script(f"localStorage.setItem('bongsu-language', '{language}'); localStorage.setItem('bongsu-theme', '{theme}')")
                page.get("about:blank")
                page.get(bongsu.url + "/" + place)
                if view == "nation":
                    print(f"{look}: first view after {page.execute_async_script(FIRST_VIEW):.0f} ms", flush=True)
                time.sleep(4)
                if view == "alerts":
                    page.execute_script("document.querySelector('details summary')?.click()")
                page_test.size(page, width, min(1400, max(height, page.execute_script("return document.documentElement.scrollHeight"))))
                time.sleep(1.5)
                page.save_screenshot(str(options.folder / f"{view}-{look}.png"))
    finally:
        if page:
            page.quit()
        bongsu.end()


if __name__ == "__main__":
    main()
