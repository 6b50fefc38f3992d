"""Learning curves as pictures: well-formed, described in words, with gaps for missing values."""

import io
import math
from xml.etree import ElementTree

import pytest
from PIL import Image

from gymserve.training.experiments import curve

NAMESPACE = {"s": "http://www.w3.org/2000/svg"}
AT = [100.0 * index for index in range(50)]


def drawn(values: list[float], title: str = "pole") -> ElementTree.Element:
    return ElementTree.fromstring(curve.svg(title, "reward", AT[: len(values)], values))


def test_an_svg_shows_the_curve_and_describes_it() -> None:
    picture = drawn([float(index) for index in range(50)])
    raw, mean = picture.findall("s:path[@class='raw']", NAMESPACE), picture.findall("s:path[@class='mean']", NAMESPACE)
    assert len(raw) == len(mean) == 1 and raw[0].attrib["d"].count("L") == 49
    assert picture.findtext("s:desc", "", NAMESPACE) == "reward over 0 to 4,900 timesteps: from 0 to 49, at most 49."
    texts = [text.text for text in picture.findall("s:text", NAMESPACE)]
    assert {"pole", "1,000", "4,000", "10", "40"} <= set(texts)


def test_the_axis_and_the_description_name_what_is_counted() -> None:
    values = [float(index) for index in range(50)]
    picture = ElementTree.fromstring(curve.svg("grid", "reward", AT, values, unit="episode"))
    texts = [text.text for text in picture.findall("s:text", NAMESPACE)]
    assert "episodes" in texts and "timesteps" not in texts
    assert "0 to 4,900 episodes:" in picture.findtext("s:desc", "", NAMESPACE)
    assert "4,900 episodes:" in curve.small("reward", AT, values, unit="episode")
    assert curve.png("grid", "reward", AT, values, unit="episode") != curve.png("grid", "reward", AT, values)


def test_a_title_is_always_text() -> None:
    title = '<script>alert("x")</script> & more'
    picture = drawn([1.0, 2.0], title)
    assert picture.findtext("s:title", "", NAMESPACE) == title and picture.find(".//s:script", NAMESPACE) is None


def test_missing_values_are_gaps() -> None:
    picture = drawn([1.0, 2.0, math.nan, math.nan, 3.0])
    assert len(picture.findall("s:path[@class='raw']", NAMESPACE)) == 2


@pytest.mark.parametrize("values", [[], [5.0], [math.nan] * 5, [3.0] * 10, [-1e300, 1e300], [1e-12, 2e-12]])
def test_unusual_curves_are_drawn(values: list[float]) -> None:
    picture = drawn(values)
    if not any(map(math.isfinite, values)):
        assert "no values" in picture.findtext("s:desc", "", NAMESPACE)
    assert "nan" not in ElementTree.tostring(picture, "unicode").lower().replace("finance", "")
    assert Image.open(io.BytesIO(curve.png("x", "reward", AT[: len(values)], values))).size == (800, 400)


def test_a_png_shows_both_lines() -> None:
    image = Image.open(io.BytesIO(curve.png("pole", "reward", AT, [float(index % 7 + index) for index in range(50)])))
    colors = {color for _, color in image.convert("RGB").getcolors(1 << 20) or []}
    assert {(0x8C, 0xB4, 0xE8), (0x0B, 0x5C, 0xAD), (255, 255, 255)} <= colors
