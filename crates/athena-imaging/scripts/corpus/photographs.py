"""Photographs as JPEG: baseline, progressive by libjpeg's script of scans and by mozjpeg's, in each common sampling.

Those that scikit-image, scikit-learn and matplotlib ship. The scripts of mozjpeg need mozjpeg-lossless-optimization.
"""

import io
import itertools

from PIL import Image

from payloads.photographs import paths

try:
    from mozjpeg_lossless_optimization import optimize
except ImportError:
    optimize = None

BREAKS = 4
LONGEST = 1200


def encode(image, **options):
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()


def files():
    for name, path in paths().items():
        image = Image.open(path)
        image = image.convert("L" if image.mode in ("L", "1", "I;16") else "RGB")
        image.thumbnail((LONGEST, LONGEST))
        samplings = ("4:4:4",) if image.mode == "L" else ("4:4:4", "4:2:2", "4:2:0")
        for sampling, quality in itertools.product(samplings, (50, 90)):
            options = dict(quality=quality, subsampling=sampling)
            label = f"{name}_{sampling.replace(':', '')}_{quality}"
            baseline = encode(image, **options)
            yield f"{label}.jpg", baseline
            yield f"{label}_progressive.jpg", encode(image, progressive=True, **options)
            yield f"{label}_restart.jpg", encode(image, progressive=True, restart_marker_rows=2, **options)
            if optimize:
                yield f"{label}_mozjpeg.jpg", optimize(baseline)
