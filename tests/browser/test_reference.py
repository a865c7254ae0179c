"""The API's reference as somebody meets it, in a real browser on a desk and on a phone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from testing.cloud import Cloud
from tests.browser.conftest import Open
from tools.openapi import PUBLIC_ROUTES

pytestmark = pytest.mark.timeout(300)


def test_every_operation_is_shown_and_searchable(open_studio: Open, cloud: Cloud, window: tuple[int, int]) -> None:
    screen = open_studio(window)
    page = screen.page
    page.goto(f"{cloud.url}/docs")
    screen.until("document.querySelector('main').getAttribute('aria-busy') === 'false'")
    for route in PUBLIC_ROUTES:
        expect(page.locator(f"article#{route.name}")).to_contain_text(route.path)
    page.get_by_role("searchbox", name="Find").fill("create_video multipart")
    expect(page.locator("article:visible")).to_have_count(1)
    page.locator("article#create_video summary").filter(has_text="202").first.click()
    expect(page.locator("article#create_video").get_by_role("rowheader", name="progress").first).to_be_visible()
    assert screen.fits()
    assert screen.complaints == []
