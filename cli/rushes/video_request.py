"""The requested video: the options of `create`, `estimate` and `extend`, and their request body."""

from __future__ import annotations

import hashlib
import inspect
import mimetypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints

import typer

from rushes.arguments import read_input, text
from rushes.failure import usage

MAX_IMAGE_BYTES: Final = 8 * 1024 * 1024


class AspectRatio(StrEnum):
    LANDSCAPE = "16:9"
    PORTRAIT = "9:16"


class Resolution(StrEnum):
    P360 = "360p"
    P720 = "720p"
    P1080 = "1080p"
    K4 = "4k"


class People(StrEnum):
    ADULTS = "allow_adult"
    NONE = "dont_allow"
    ALL = "allow_all"


class OnLimit(StrEnum):
    FAIL = "fail"
    WAIT = "wait"


@dataclass(frozen=True)
class Image:
    """An image of the request: a file on this machine, or a URL that the server fetches."""

    field: str
    given: str
    content: bytes | None

    @classmethod
    def of(cls, field: str, given: str) -> Image:
        """Raises Failure when there is no such file, or one that no server would take."""
        if given.startswith(("https://", "http://", "data:")):
            return cls(field, given, None)
        return cls(field, given, _read_image(Path(given)))

    @property
    def identity(self) -> str:
        return self.given if self.content is None else hashlib.sha256(self.content).hexdigest()


def _read_image(path: Path) -> bytes:
    """The file's bytes. Nothing but an image leaves this machine, even if an assistant names another file."""
    try:
        # Opening a pipe would wait for somebody to write to it.
        if path.exists() and not path.is_file():
            raise usage(f"{path} isn't a file.")
        with path.open("rb") as file:
            content = file.read(MAX_IMAGE_BYTES + 1)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise usage(f"Can't read the image {path}: {error.strerror}.") from None
    except ValueError:
        raise usage(f"{str(path)!r} isn't a valid file name.") from None
    if len(content) > MAX_IMAGE_BYTES:
        raise usage(f"{path} has {size:,} bytes; the maximum for an image is {MAX_IMAGE_BYTES:,}.")
    if not _looks_like_an_image(content):
        raise usage(f"{path} isn't a PNG, JPEG or WebP image.")
    return content


def _looks_like_an_image(content: bytes) -> bool:
    webp = content.startswith(b"RIFF") and content[8:12] == b"WEBP"
    return webp or content.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"))


@dataclass(frozen=True)
class VideoRequest:
    """Fields of POST /v1/videos by their names there, and the images, which travel as files."""

    fields: dict[str, Any]
    images: tuple[Image, ...] = ()

    def request(self) -> dict[str, Any]:
        """The body, as options of an HTTP call."""
        if all(image.content is None for image in self.images):
            return {"json": {**self.fields, **self._urls()}}
        return {"data": self._form(), "files": self._files()}

    def identity(self) -> dict[str, Any]:
        """What makes two requests the same; the agreed price does not count."""
        fields = {name: value for name, value in self.fields.items() if name != "max_cost"}
        return {"fields": fields, "images": [[image.field, image.identity] for image in self.images]}

    def with_fields(self, **fields: Any) -> VideoRequest:
        return VideoRequest({**self.fields, **fields}, self.images)

    def _urls(self) -> dict[str, Any]:
        urls: dict[str, Any] = {}
        for image in self.images:
            value = {"image_url": image.given}
            if image.field == "reference_images":
                urls.setdefault(image.field, []).append(value)
            else:
                urls[image.field] = value
        return urls

    def _form(self) -> dict[str, str]:
        form = {name: _text(value) for name, value in self.fields.items() if name != "labels"}
        form |= {f"labels[{name}]": value for name, value in self.fields.get("labels", {}).items()}
        return form | {f"{name}[image_url]": image.given for name, image in self._named() if image.content is None}

    def _files(self) -> list[tuple[str, tuple[str, bytes, str]]]:
        return [
            (name, (Path(image.given).name, image.content, mimetypes.guess_type(image.given)[0] or "image/*"))
            for name, image in self._named()
            if image.content is not None
        ]

    def _named(self) -> list[tuple[str, Image]]:
        """Each image with its name in a form: the place of a reference image is part of it."""
        references = [image for image in self.images if image.field == "reference_images"]
        named = [(image.field, image) for image in self.images if image not in references]
        return named + [(f"reference_images[{place}]", image) for place, image in enumerate(references)]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def wished(
    prompt: Annotated[str, typer.Argument(help="The prompt; - reads it from standard input.")],
    model: Annotated[str | None, typer.Option(help="Model (see `rushes models`).")] = None,
    seconds: Annotated[int | None, typer.Option(min=1, max=60, help="Length in seconds (see `rushes models`).")] = None,
    size: Annotated[
        str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Instead of --aspect-ratio and --resolution.")
    ] = None,
    aspect_ratio: Annotated[AspectRatio | None, typer.Option(help="Landscape or portrait.")] = None,
    resolution: Annotated[Resolution | None, typer.Option(help="Output resolution.")] = None,
    negative_prompt: Annotated[str | None, typer.Option(help="What to avoid in the video.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=4_294_967_295, help="The same seed gives a similar video.")
    ] = None,
    audio: Annotated[bool | None, typer.Option("--audio/--no-audio", help="With sound, or silent.")] = None,
    people: Annotated[People | None, typer.Option(help="Whether people may appear.")] = None,
    count: Annotated[int | None, typer.Option(min=1, max=4, help="Number of videos.")] = None,
    first_frame: Annotated[str | None, typer.Option(metavar="IMAGE", help="A file or an https URL.")] = None,
    last_frame: Annotated[str | None, typer.Option(metavar="IMAGE", help="Requires --first-frame.")] = None,
    reference: Annotated[
        list[str] | None, typer.Option(metavar="IMAGE", help="Image of people, things or places; up to 3 times.")
    ] = None,
    project: Annotated[str | None, typer.Option(help="Project of the video.")] = None,
    label: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="Repeatable.")] = None,
    max_cost: Annotated[
        int | None, typer.Option(min=0, metavar="CREDITS", help="Don't create it if it costs more.")
    ] = None,
    on_limit: Annotated[OnLimit | None, typer.Option(help="At the limit of active jobs: fail or wait.")] = None,
    failover: Annotated[
        bool | None, typer.Option("--failover", help="If the start is rejected, use another provider's model.")
    ] = None,
    webhook_url: Annotated[
        str | None, typer.Option(metavar="URL", help="URL to notify when the video is done.")
    ] = None,
) -> VideoRequest:
    """The request that the options make. Raises Failure."""
    fields = {
        "prompt": read_input().strip() if prompt == "-" else prompt,
        "model": model,
        "seconds": seconds,
        "size": size,
        "aspect_ratio": aspect_ratio,
        "resolution": resolution,
        "negative_prompt": negative_prompt,
        "seed": seed,
        "generate_audio": audio,
        "person_generation": people,
        "count": count,
        "project": project,
        "labels": dict(map(_label, label or [])) or None,
        "max_cost": max_cost,
        "on_limit": on_limit,
        "failover": failover,
        "webhook_url": webhook_url,
    }
    frames = {"input_reference": first_frame, "last_frame": last_frame}
    images = [Image.of(name, given) for name, given in frames.items() if given]
    images += [Image.of("reference_images", given) for given in reference or []]
    sent = {name: text(value) if isinstance(value, str) else value for name, value in fields.items()}
    return VideoRequest({name: value for name, value in sent.items() if value is not None}, tuple(images))


def _label(given: str) -> tuple[str, str]:
    name, equals, value = text(given).partition("=")
    if not equals or not name:
        raise usage(f"--label {given}: use NAME=VALUE.")
    return name, value


def takes_wish(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command all options of `wished` in the place of its parameter `request`."""
    own, wishes = inspect.signature(command), inspect.signature(wished)

    @wraps(command)
    def with_wish(**values: Any) -> None:
        command(request=wished(**{name: values.pop(name) for name in wishes.parameters}), **values)

    parameters: list[inspect.Parameter] = []
    for parameter in own.parameters.values():
        parameters += wishes.parameters.values() if parameter.name == "request" else [parameter]
    hints = {**get_type_hints(command, include_extras=True), **get_type_hints(wished, include_extras=True)}
    typed = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[parameter.name])
        for parameter in parameters
    ]
    with_wish.__signature__ = inspect.Signature(typed)  # type: ignore[attr-defined]
    with_wish.__annotations__ = {parameter.name: parameter.annotation for parameter in typed}
    return with_wish
