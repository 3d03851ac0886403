"""The README's pictures: the top of the report of results/ucm-16-5, as a browser shows it, and a terminal in which the
README's first commands were run.

python benchmarks/pictures.py      # writes docs/images/report.png and terminal.svg; the first needs playwright and the
                                   # system's chromium
"""

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURE, TERMINAL = ROOT / "docs/images/report.png", ROOT / "docs/images/terminal.svg"
METHODS = "exem+cal,dem+cal,mcfa+cal,cada,mcfa,eszsl"
"""The README's, and few enough for the tests to tell some apart."""
WIDTH, HEIGHT = 1280, 1600
MARGIN = 6
COLOURS = 128
COMMANDS = (
    "zslbench run --methods eszsl,sae --dataset ucm --splits 10 --workers 0 --quiet",
    "zslbench compare sae eszsl",
)
"""What is typed in the picture of a terminal."""
COLUMNS = 100


def main() -> int:
    """Write the pictures."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("no chromium on this machine: apt-get install chromium", file=sys.stderr)
        return 2
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    report(chromium)
    terminal()
    for path in (PICTURE, TERMINAL):
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")
    return 0


def report(chromium: str) -> None:
    """From the heading to the end of the first table."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as running:
        path, taken = Path(folder) / "report.html", Path(folder) / "report.png"
        command = ["report", "--store", "results/ucm-16-5", "--methods", METHODS, "--track", "strict", "-o", str(path)]
        subprocess.run([sys.executable, "-m", "zslbench", *command], cwd=ROOT, check=True)
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(path.as_uri())
        table = page.locator("table").first.bounding_box()
        page.screenshot(
            path=taken, clip={"x": 0, "y": 0, "width": WIDTH, "height": table["y"] + table["height"] + MARGIN}
        )
        browser.close()
        with Image.open(taken) as picture:
            picture.convert("RGB").quantize(COLOURS).save(PICTURE, optimize=True)


def terminal() -> None:
    """The commands with all that they print, run one after the other in an empty folder."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            console.print(Text.from_ansi(typed(command, Path(folder))))
    drawn = console.export_svg(title="zslbench")
    drawn = re.sub(r"@font-face\s*\{.*?\}", "", drawn, flags=re.S)  # no font is fetched
    TERMINAL.write_text("\n".join(line.rstrip() for line in drawn.splitlines()) + "\n", encoding="utf-8")


def typed(command: str, folder: Path) -> str:
    """What a command prints into a terminal."""
    ours, its = pty.openpty()
    env = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": "60", "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-m", "zslbench", *command.split()[1:]]
    with subprocess.Popen(arguments, cwd=folder, env=env, stdin=its, stdout=its, stderr=its) as running:
        os.close(its)
        said = bytearray()
        while True:
            try:
                part = os.read(ours, 65_536)
            except OSError:  # the other end was closed
                break
            if not part:
                break
            said += part
    os.close(ours)
    if running.returncode:
        raise RuntimeError(f"{command} ended with exit code {running.returncode}")
    return said.decode().replace("\r\n", "\n")


if __name__ == "__main__":
    sys.exit(main())
