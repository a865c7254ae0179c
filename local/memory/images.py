"""Images read in this process: the same checks and answers as the workers', without their limits and their start."""

from __future__ import annotations

from shared import images
from shared.image_facts import ImageFacts


class ImagesHere:
    async def inspect(self, account: str, data: bytes) -> ImageFacts:
        """Raises NotAnImage."""
        return images.inspect(data)
