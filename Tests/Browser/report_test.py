#!/usr/bin/python3
"""The printed account: `bongsu report` as HTML, printed on A4 by headless Chromium, read back from the PDF.

Usage: report_test.py BINARIES [TEST…]     BINARIES: folder of bongsu
account.json and account.pub are an account that an earlier build signed: documents must stay verifiable.
Needs Debian's chromium and poppler-utils.
"""
import csv, io, os, pathlib, re, subprocess, sys, tempfile, unittest

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 120  # seconds; a machine that builds beside is slow


def run(*command):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, timeout=PATIENCE).stdout


def bongsu(*arguments):
    return run(BINARIES / "bongsu", *arguments)


def squeezed(text):
    """Without white space: where lines break is the printer's business."""
    return re.sub(r"\s", "", text)


class Account(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="bongsu-account-")
        folder = pathlib.Path(cls.folder.name)
        cls.page, cls.pdf = folder / "account.html", folder / "account.pdf"
        cls.page.write_text(bongsu("report", "show", HERE / "account.json", "--format", "html"))
        run("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
            "--no-pdf-header-footer", f"--print-to-pdf={cls.pdf}", cls.page.as_uri())
        cls.text = run("pdftotext", "-layout", cls.pdf, "-")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_one_sheet_of_a4(self):
        info = run("pdfinfo", self.pdf)
        self.assertRegex(info, r"Pages:\s+1\n")
        width, height = map(float, re.search(r"Page size:\s+([\d.]+) x ([\d.]+) pts", info).groups())
        self.assertAlmostEqual(width, 595.3, delta=2)
        self.assertAlmostEqual(height, 841.9, delta=2)

    def test_every_figure_is_on_paper(self):
        table = bongsu("report", "show", HERE / "account.json")
        text = squeezed(self.text)
        rows = [line for line in table.split("\n")[4:] if line.strip()]
        values = [re.split(r"\s{2,}", line.strip()) for line in rows]
        figures = [row for row in values if len(row) == 2]
        nodes = [row for row in values if len(row) == 4][1:]
        self.assertGreaterEqual(len(figures), 18)
        self.assertEqual(len(nodes), 10)
        for row in figures + nodes:
            for word in row:
                self.assertIn(squeezed(word), text)
        for korean in ("GPU 사용 및 전력 정산서", "15분 최대수요전력", "과학기술정보통신부"):
            self.assertIn(squeezed(korean), text)
        self.assertNotIn("{", self.text, "what programs read stays out of sight")

    def test_the_signature_can_be_copied_from_paper(self):
        rows = {row[1]: row[2] for row in csv.reader(io.StringIO(bongsu("report", "show", HERE / "account.json", "--format", "csv")))}
        document = rows["bongsu-usage-report-1"]
        text = squeezed(self.text)
        for field in ("sha256", "value", "key"):
            self.assertIn(re.search(f'"{field}":"([^"]+)"[,}}]', document.split(',"signature":')[1]).group(1), text)

    def test_the_page_still_verifies(self):
        self.assertIn("intact", bongsu("report", "verify", self.page, "--key", HERE / "account.pub"))
        self.assertIn("intact", bongsu("report", "verify", HERE / "account.json", "--key", HERE / "account.pub"))

    def test_nothing_runs_and_nothing_is_fetched(self):
        page = self.page.read_text()
        self.assertNotRegex(page, r"(?i)https?://|\bon\w+=|<link|<img|@import|url\(")
        self.assertEqual(len(re.findall("<script", page)), 1)
        self.assertIn("default-src 'none'", page)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    BINARIES = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
