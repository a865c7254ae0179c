"""With a client that openapi-python-client generated: make a video, wait for it, list it, download it.

python make_a_video.py URL TOKEN FILE
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import httpx
from client import AuthenticatedClient
from client.api.videos import create_video, get_video, list_videos, video_content
from client.models import CreateVideo, ErrorResponse, SignedUrl, Status, Video, VideoPage
from client.models.video_content_redirect import VideoContentRedirect

DEADLINE_S = 120.0


def main(url: str, token: str, file: Path) -> None:
    with AuthenticatedClient(base_url=url, token=token) as client:
        refused = create_video.sync(client=client, body=CreateVideo(prompt="a paper boat", seconds=5))
        assert isinstance(refused, ErrorResponse), refused
        assert refused.error.code == "UNSUPPORTED_BY_MODEL", refused

        body = CreateVideo(prompt="a paper boat in the rain", seconds=4)
        video = create_video.sync(client=client, body=body, idempotency_key="generated-python")
        assert isinstance(video, Video), video
        deadline = time.monotonic() + DEADLINE_S
        while video.status not in (Status.COMPLETED, Status.FAILED) and time.monotonic() < deadline:
            time.sleep(0.2)
            video = get_video.sync(video.id, client=client)
            assert isinstance(video, Video), video
        assert video.status is Status.COMPLETED, video

        page = list_videos.sync(client=client, limit=1)
        assert isinstance(page, VideoPage), page
        assert [one.id for one in page.data] == [video.id]

        signed = video_content.sync(video.id, client=client, redirect=VideoContentRedirect.JSON)
        assert isinstance(signed, SignedUrl), signed
        file.write_bytes(httpx.get(signed.url).raise_for_status().content)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
