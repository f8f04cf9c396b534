"""Pictures made anew from what was attached: only these are ever shown in a page."""

from __future__ import annotations

from io import BytesIO

from PIL import Image, ImageOps

from cases.vocabulary.refusals import Refused

# Pixels that are decoded at most, and of the longer side of what is shown.
MOST, SHOWN = 50_000_000, 1600
MEDIA = "image/jpeg"


def remade(content: bytes) -> bytes:
    """Return a picture as a JPEG that was encoded anew, no larger than a screen, without what else was in the file.

    Raises:
        Refused: ``file_type``: it is no picture; ``file_unsafe``: it has too many pixels.
    """
    try:
        with Image.open(BytesIO(content), formats=("JPEG", "PNG", "WEBP")) as image:
            if image.width * image.height > MOST:
                raise Refused("file_unsafe", f"the picture has more than {MOST} pixels")
            upright = ImageOps.exif_transpose(image)
            upright.thumbnail((SHOWN, SHOWN))
            flat = Image.new("RGB", upright.size, "white")
            clear = upright.convert("RGBA")
            flat.paste(clear, mask=clear.getchannel("A"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Refused("file_unsafe", f"the picture has more than {MOST} pixels") from None
    except (OSError, SyntaxError, ValueError):
        raise Refused("file_type", "the picture cannot be read: it is damaged, or something else") from None
    out = BytesIO()
    flat.save(out, "JPEG", quality=85)
    return out.getvalue()
