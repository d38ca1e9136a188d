"""Photographs that Python packages ship: scikit-image, scikit-learn and matplotlib."""

import os

import matplotlib
import skimage
import sklearn

SKIMAGE = (
    "astronaut.png brick.png camera.png cell.png chelsea.png clock_motion.png coffee.png coins.png grass.png gravel.png "
    "hubble_deep_field.jpg ihc.png moon.png motorcycle_left.png motorcycle_right.png retina.jpg rocket.jpg"
).split()


def paths():
    """Their names and paths."""
    found = [os.path.join(os.path.dirname(skimage.__file__), "data", name) for name in SKIMAGE]
    found += [os.path.join(os.path.dirname(sklearn.__file__), "datasets", "images", name) for name in ("china.jpg", "flower.jpg")]
    found.append(os.path.join(matplotlib.get_data_path(), "sample_data", "grace_hopper.jpg"))
    return {os.path.splitext(os.path.basename(path))[0]: path for path in found}
