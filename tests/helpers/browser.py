"""Looks at HTML pages in headless Chromium."""

import html
import json
import re
import shutil
import subprocess

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def look(path, width, code, height=900):
    """Opens a page in a window of a given size and runs JavaScript on it.

    Args:
        path: the HTML file. Another file is written beside it.
        width, height: the size of the window, in CSS pixels.
        code: the body of a JavaScript function of `page`, the document. It returns an object that
            JSON can hold.

    Returns:
        The returned object, to which `width` of the document and `wide`, the elements that stick
        out of the window, are added; and the console messages of the page.
    """
    browser = next(filter(None, map(shutil.which, _NAMES)), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    # The page is put into a frame, since a window cannot be narrower than a certain width. A script
    # outside the frame looks at the page.
    frame = f"""<iframe src="{path.name}" style="width:{width}px;height:{height}px"></iframe>
    <pre></pre><script>onload = () => {{
      const page = document.querySelector("iframe").contentDocument;
      const wide = [...page.querySelectorAll("body *")].filter(
        e => e.getBoundingClientRect().right > {width} + 1 && !e.closest(".scroll, pre"));
      const layout = {{width: page.documentElement.scrollWidth,
        wide: wide.map(e => e.outerHTML.slice(0, 80))}};
      const found = (page => {{ {code} }})(page);
      document.querySelector("pre").textContent = JSON.stringify({{...layout, ...found}});
    }}</script>"""
    outer = path.with_name("frame.html")
    outer.write_text(frame, encoding="utf-8")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
         "--enable-logging=stderr", f"--user-data-dir={path.parent / 'profile'}",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--no-first-run", "--virtual-time-budget=10000", "--dump-dom", outer.as_uri()],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    found = re.search(r"<pre>(\{.*\})</pre>", done.stdout, re.S)
    assert found, done.stderr[-2000:]
    console = [x for x in done.stderr.splitlines() if "CONSOLE" in x]
    return json.loads(html.unescape(found[1])), console
