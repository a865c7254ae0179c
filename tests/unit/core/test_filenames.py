"""What a download is called: the prompt's first words, safe on every disk and in every header."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from shared.core import filenames


@pytest.mark.parametrize(
    ("prompt", "stem"),
    [
        ("a paper boat in the rain", "a-paper-boat-in-the-rain"),
        ("  The fox's den -- at dusk!  ", "The-foxs-den-at-dusk"),
        ("one two three four five six seven eight nine", "one-two-three-four-five-six-seven-eight"),
        ("Ein schöner Gärtner, 日本 の海", "Ein-schöner-Gärtner-日本-の海"),
        ("x" * 100 + " y", "x" * 60),
        ("word " + "x" * 100, "word"),
        ("../../etc/passwd", "etc-passwd"),
        ('a"b\r\nSet-Cookie: c', "a-b-Set-Cookie-c"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", "gpj-exe"),
        ("...", "video_1"),
        ("😀", "video_1"),
        ("CON", "video_1"),
        ("lpt1", "video_1"),
        ("", "video_1"),
    ],
)
def test_name_is_the_first_words_of_the_prompt(prompt: str, stem: str) -> None:
    assert filenames.stem(prompt, "video_1") == stem


@pytest.mark.parametrize(
    "filename", ["a-boat.mp4", "schöner-Gärtner.mp4", "日本の海.mp4", "naïve café.mp4", "a'b(c).mp4"]
)
def test_disposition_has_the_real_name_and_an_ascii_one(filename: str) -> None:
    text = filenames.disposition(filename, download=True)
    assert text.isascii()
    assert text.startswith("attachment; ")
    real = re.search(r"filename\*=UTF-8''([\w.~%!#$&+^`|-]+)$", text)
    assert (unquote(real[1]) if real else "a-boat.mp4") == filename
    plain = text.split('filename="')[1].split('"')[0]
    assert plain.endswith(".mp4") and len(plain) > len(".mp4")


def test_ascii_name_needs_no_second() -> None:
    assert filenames.disposition("my film.mp4", download=False) == 'inline; filename="my film.mp4"'
