"""Writes thousands of image files, well-formed and broken, in every format the crate decodes.

Usage: python -m corpus OUT [FORMAT...]     (from this folder; needs requirements.txt), then python golden.py OUT

Pictures are painted from a fixed seed: the same versions of the encoders write the same files.
"""

import importlib
import os
import random
import sys

from .picture import break_file

FORMATS = ("avif", "bmp", "gif", "hdr", "jpeg", "pfm", "photographs", "png", "pnm", "sun", "tiff", "webp")


def main():
    out, chosen = sys.argv[1], sys.argv[2:] or FORMATS
    os.makedirs(out, exist_ok=True)
    for name in chosen:
        module = importlib.import_module(f"{__package__}.{name}")
        rng = random.Random(name)
        count = 0
        for index, (label, data) in enumerate(module.files()):
            stem, extension = os.path.splitext(label)
            variants = [(f"{name}_{label}", data)]
            if getattr(module, "BREAK", True):
                variants += [
                    (f"{name}_{stem}_broken{i:02}{extension}", broken)
                    for i, broken in enumerate(break_file(data, rng, module.BREAKS))
                ]
            for file_name, content in variants:
                with open(os.path.join(out, file_name), "wb") as file:
                    file.write(content)
            count += len(variants)
        print(f"{name}: {count} files")


if __name__ == "__main__":
    main()
