"""The README's picture: the top of the report of results/ucm-16-5, as a browser shows it.

python benchmarks/pictures.py      # writes docs/images/report.png; needs playwright and the system's chromium
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs/images/report.png"
METHODS = "exem+cal,dem+cal,mcfa+cal,cada,mcfa,eszsl"
"""The README's, and few enough for the tests to tell some apart."""
WIDTH, HEIGHT = 1280, 1600
MARGIN = 6
COLOURS = 128


def main() -> int:
    """Write the picture."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("no chromium on this machine: apt-get install chromium", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as running:
        report, taken = Path(folder) / "report.html", Path(folder) / "report.png"
        command = ["report", "--store", "results/ucm-16-5", "--methods", METHODS, "-o", str(report)]
        subprocess.run([sys.executable, "-m", "zslbench", *command], cwd=ROOT, check=True)
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(report.as_uri())
        table = page.locator("table").first.bounding_box()
        page.screenshot(
            path=taken, clip={"x": 0, "y": 0, "width": WIDTH, "height": table["y"] + table["height"] + MARGIN}
        )
        browser.close()
        PICTURE.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(taken) as picture:
            picture.convert("RGB").quantize(COLOURS).save(PICTURE, optimize=True)
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size // 1000} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
