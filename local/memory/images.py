"""Images read in this process: the same checks and answers as the workers', without their limits and their start."""

from __future__ import annotations

from shared.core.image_facts import ImageFacts
from shared.media import images


class ImagesHere:
    async def inspect(self, account: str, data: bytes) -> ImageFacts:
        """Raises NotAnImage."""
        return images.inspect(data)
