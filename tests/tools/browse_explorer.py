"""Opens a page `explore.html` in headless Chromium, uses it, and says what went wrong; run by hand.

    python -m tests.tools.browse_explorer results/explore.html [--screenshot page.png]

In a copy of the page with a script added, it hovers over points, makes choices, clicks a stage and opens a record.
Chromium is no part of the environment, so this is no test of `make test`; `apt-get install chromium` brings it.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BROWSER = [
    "chromium",
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--use-angle=swiftshader",
    "--window-size=1200,3600",
]
FIRST = """<script>
const wrong = []; const requests = [];
window.onerror = (message, file, line) => { wrong.push(message + ":" + line); };
const own = console.error; console.error = (...all) => { wrong.push(all.join(" ")); own(...all); };
</script>"""
LAST = """<script>
(async () => {
  const wait = ms => new Promise(done => setTimeout(done, ms));
  const report = {choices: {}, hover: null, stage: null, record: null};
  const boxes = ["latent-choices", "curve-choices", "surface-choices"];
  try {
    await wait(500);
    const count = () => document.getElementById("scatter").data.reduce((sum, one) => sum + one.x.length, 0);
    const scatter = document.getElementById("scatter");
    if (scatter) {
      report.points = count();
      report.hover = scatter.data[0].text[0];
      let began = performance.now();
      await Plotly.relayout("scatter", {"scene.camera.eye": {x: 2, y: 1, z: 1}});
      report.turn_ms = Math.round(performance.now() - began);
    }
    for (const box of boxes) for (const select of document.querySelectorAll(`#${box} select`)) {
      const before = select.value; const seen = [];
      for (const option of [...select.options].slice(0, 4)) {
        select.value = option.value; select.dispatchEvent(new Event("change")); await wait(60);
        seen.push(box === "latent-choices" ? count() : option.text);
      }
      select.value = before; select.dispatchEvent(new Event("change"));
      report.choices[select.id] = seen;
    }
    const effect = document.getElementById("effect-plot");
    if (effect) {
      Plotly.Fx.hover("effect-plot", [{curveNumber: 0, pointNumber: 0}]); await wait(100);
      report.effect_hover = effect.querySelector(".hoverlayer").textContent;
    }
    const curve = document.getElementById("curve-plot");
    if (curve) {
      document.querySelector("#stages button:nth-of-type(2)").click(); await wait(200);
      report.stage = curve.layout.xaxis.range;
    }
    const record = document.querySelector("#records details");
    if (record) { record.open = true; report.record = record.querySelector("pre").textContent.length; }
  } catch (error) { wrong.push(String(error)); }
  report.requests = performance.getEntriesByType("resource").map(one => one.name);
  report.wrong = wrong;
  const box = document.createElement("textarea"); box.id = "report"; box.textContent = JSON.stringify(report);
  document.body.append(box);
})();
</script>"""


def browse(page: Path, screenshot: Path | None = None, seconds: int = 240) -> dict[str, object]:
    """Return what happened: numbers of points after each choice, hover texts, requests, and what went wrong."""
    html = page.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy.html"
        copy.write_text(
            html.replace("<head>", f"<head>{FIRST}", 1).replace("</body>", f"{LAST}</body>"), encoding="utf-8"
        )
        began = time.monotonic()
        command = [*BROWSER, "--virtual-time-budget=60000", "--dump-dom", copy.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        found = re.search(r'<textarea id="report">(.*?)</textarea>', done.stdout, re.DOTALL)
        if found is None:
            raise SystemExit(f"the page did not finish: {done.stderr[-800:]}")
        text = found[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
        report: dict[str, object] = json.loads(text.replace("&amp;", "&"))
        report["seconds"] = round(time.monotonic() - began, 1)
        if screenshot is not None:
            shot = [
                *BROWSER,
                "--virtual-time-budget=20000",
                f"--screenshot={screenshot.resolve()}",
                page.resolve().as_uri(),
            ]
            subprocess.run(shot, capture_output=True, timeout=seconds, check=True)
    return report


def main() -> int:
    """Browse a page; return 1 if anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path)
    parser.add_argument("--screenshot", type=Path)
    arguments = parser.parse_args()
    report = browse(arguments.page, arguments.screenshot)
    print(json.dumps(report, indent=1))
    return 1 if report["wrong"] or report["requests"] else 0


if __name__ == "__main__":
    sys.exit(main())
