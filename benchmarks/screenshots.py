"""Pictures of a page to be looked at: at the widths of a desk, a tablet and a phone, and as it prints.

python benchmarks/screenshots.py report.html build/screenshots     # needs playwright and the system's chromium

Writes WIDTH-NUMBER.png, screen by screen, and print.pdf, and prints how many pages that has and what the page said.
"""

import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

WIDTHS = (1280, 768, 390)
HEIGHT = 1600
MOST = 8
"""So many screens of each width."""


def main(page_file: Path, folder: Path) -> int:
    """Write the pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("no chromium on this machine: apt-get install chromium", file=sys.stderr)
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for width in WIDTHS:
            page = browser.new_page(viewport={"width": width, "height": HEIGHT})
            page.on("console", lambda message: print(f"the page says: {message.text}"))
            page.goto(page_file.resolve().as_uri())
            height = page.evaluate("document.documentElement.scrollHeight")
            for number, top in enumerate(range(0, min(height, MOST * HEIGHT), HEIGHT)):
                shown = {"x": 0, "y": top, "width": width, "height": min(HEIGHT, height - top)}
                page.screenshot(path=folder / f"{width}-{number}.png", clip=shown, full_page=True)
        printed = page.pdf(prefer_css_page_size=True)
        (folder / "print.pdf").write_bytes(printed)
        browser.close()
    pages = len(re.findall(rb"/Type\s*/Page\b", printed))
    print(f"{folder}: {pages} printed pages")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
