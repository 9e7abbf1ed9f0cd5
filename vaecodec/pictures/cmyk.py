"""Inks to sRGB: through the profile of the picture, or by an estimate where it has none."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

THROUGH = "CMYK is converted to sRGB through its profile"
ESTIMATED = "CMYK without a profile is converted to RGB by an estimate"
UNUSABLE = "CMYK is converted to RGB by an estimate: its profile cannot be used"


def to_rgb(image: Image.Image, profile: object, notes: list[str]) -> Image.Image:
    """An image of mode RGB in sRGB, of one of mode CMYK with its ICC profile, if any; adds to `notes`."""
    if not isinstance(profile, bytes) or not profile:
        notes.append(ESTIMATED)
        return image.convert("RGB")
    try:
        converted = _through(image, profile)
    except Exception:  # of bytes that are no profile of inks, or a Pillow without LittleCMS
        notes.append(UNUSABLE)
        return image.convert("RGB")
    notes.append(THROUGH)
    return converted


def _through(image: Image.Image, profile: bytes) -> Image.Image:
    """With relative colours and black as black, as printers' and photographers' programs do."""
    from PIL import ImageCms

    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    if source.profile.xcolor_space.strip() != "CMYK":
        raise ValueError("a profile of other colours")
    converted = ImageCms.profileToProfile(
        image,
        source,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    assert converted is not None
    return converted
