"""Images without a client."""

from __future__ import annotations

import gc
import hashlib
from pathlib import Path

import athena
import pytest
from athena import imaging


def test_a_file_is_prepared_losslessly(pictures: list[Path]) -> None:
    for path in pictures:
        data = path.read_bytes()
        prepared = imaging.prepare(data)
        assert prepared.format == "WEBP" and not prepared.is_brotli
        assert imaging.frame(bytes(prepared.data)) == imaging.frame(data)
        assert prepared.provenance.md5 == hashlib.md5(data).hexdigest()
        assert imaging.hashes(data).sha1 == hashlib.sha1(data).hexdigest()
        found = imaging.inspect(data)
        assert (found.format, found.width) == (
            prepared.provenance.format,
            prepared.provenance.width,
        )


def test_views_are_not_copies_and_outlive_what_they_came_from(picture: bytes) -> None:
    preprocessor = imaging.Preprocessor(payload="raw")
    prepared = preprocessor.prepare(bytearray(picture))
    view, other = prepared.data, prepared.data
    digest = hashlib.sha256(view).digest()
    assert view.readonly and len(view) == imaging.FRAME_BYTES
    del prepared, other
    gc.collect()
    assert hashlib.sha256(view).digest() == digest
    frame = imaging.frame(picture)
    assert frame.shape == (448, 448, 3) and frame.tobytes() == view.tobytes()


def test_numpy_reads_a_frame_where_it_is(picture: bytes) -> None:
    numpy = pytest.importorskip("numpy")
    frame = imaging.frame(picture)
    array = numpy.asarray(frame)
    assert array.shape == (448, 448, 3) and numpy.shares_memory(array, numpy.asarray(frame))
    assert imaging.hashes(array.copy()) == imaging.hashes(bytes(frame))


def test_what_cannot_be_prepared_says_why(picture: bytes) -> None:
    with pytest.raises(athena.ImageError, match="unknown image format"):
        imaging.prepare(b"no picture")
    with pytest.raises(athena.ImageError) as raised:
        imaging.frame(picture[:100])
    assert raised.value.format == "webp"
    with pytest.raises(athena.ImageError, match="the limit is 10"):
        imaging.Preprocessor(limits={"max_pixels": 10}).prepare(picture)
    with pytest.raises(ValueError, match="no limit"):
        imaging.Preprocessor(limits={"max_pixel": 10})
    with pytest.raises(ValueError, match="none of"):
        imaging.Preprocessor(payload="gif")


def test_other_payloads(picture: bytes) -> None:
    for payload in ("raw", "png", "webp-fastest", "webp-small"):
        prepared = imaging.Preprocessor(payload=payload, frame_digest=True).prepare(picture)
        digest = hashlib.sha256(imaging.frame(picture)).hexdigest()
        assert prepared.provenance.frame_sha256 == digest
    assert imaging.Preprocessor(payload="raw", brotli=1).prepare(picture).is_brotli
