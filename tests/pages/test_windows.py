import numpy as np
import pytest

from big_rad.inference import draw
from big_rad.pages import windows
from big_rad.pp import ops_image
from tests.helpers import html_page

HU = np.random.default_rng(0).uniform(-1000, 1000, (20, 30)).astype(np.float32)
CT = draw.seen(ops_image.ct_windows(HU), "CT")


def test_a_ct_slice_has_its_soft_tissue_window_and_buttons_for_the_other_two():
    page = html_page.parse(windows.picture(CT, "a slice"))
    large = page.one("div", "stage").one("img")
    assert large.get("alt") == "a slice" and large.get("src").startswith("data:image/png;base64,")
    assert page.one("div", "stage").words == "soft tissue (W 350, L 40)"
    buttons = page.one("div", "windows").all("button")
    assert [b.words for b in buttons] == ["wide (W 2250, L -100)", "brain (W 80, L 40)"]
    assert len({i.get("src") for i in page.all("img")}) == 3


@pytest.mark.parametrize("seen", [CT[0], np.stack([CT[0]] * 3, axis=-1)])
def test_other_images_have_one_picture(seen):
    page = html_page.parse(windows.picture(seen, '"><script>'))
    assert page.one("img").get("alt") == '"><script>' and not page.all("button")


def test_what_lies_over_the_picture_knows_its_size():
    page = html_page.parse(
        windows.picture(CT, "", lambda height, width: f"<b>{height} {width}</b>")
    )
    assert page.one("div", "stage").one("b").words == "20 30"
