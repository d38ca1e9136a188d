"""The client that programs call."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any

from athena import _athena
from athena._contract import MESSAGES, VALUES
from athena._errors import ImageError
from athena._types import Image
from athena.imaging import FRAME_BYTES

from .. import _native
from .._stream import NativeStream
from ..grpc_wrappers.classifier_service import ClassifierServiceClient
from .athena_options import AthenaOptions
from .channel import Channel
from .correlation import HashCorrelationProvider
from .exceptions import AthenaError, UndecodableImageError
from .models import ImageData
from .transformers.core import UNDECODABLE
from .transformers.worker_batcher import WorkerBatcher

if TYPE_CHECKING:
    from typing_extensions import Self

_Response = MESSAGES["ClassifyResponse"]
_Input = MESSAGES["ClassificationInput"]
_Hash = MESSAGES["ImageHash"]

_MAX_BATCH = {True: 4, False: 2}
"""Images in a message at most, by whether they are compressed: an encoded message is held beside the images
in it, and its buffer grows by doubling. Larger ones are no faster."""

_IN_FLIGHT_BYTES = {True: 4 << 20, False: 8 << 20}
"""What a stream holds for images under way, for each core. Answers that take a fifth of a second let 130 photographs
a second and core through, or 65 raw frames."""


class AthenaClient:
    """Classifies images over a channel.

    On a channel of this package all work is the native client's, with its promises. On a channel
    of grpcio calls go through that: one stream, which is not made again when it breaks.
    """

    def __init__(self, channel: Any, options: AthenaOptions) -> None:
        self.channel = channel
        self.options = options
        self.logger = logging.getLogger(__name__)
        self.classifier = ClassifierServiceClient(channel)
        self._native = channel if isinstance(channel, Channel) else None
        self._streams: list[Any] = []
        self._prefix = uuid.uuid4().hex
        self._count = 0

    async def classify_images(self, images: AsyncIterator[ImageData]) -> AsyncIterator[Any]:
        """Responses as they come, with one output for each image. Ends with the last one.

        An image that cannot be decoded has an output with an error, and the labels of its hashes.
        Results of others in the deployment come as well; without images of its own the stream
        ends when none has come for two seconds.

        Raises ``grpc.aio.AioRpcError`` for what ends the whole stream, such as a refused token,
        and whatever ``images`` raises, after the outputs of the images before.
        """
        stream = self._stream(images) if self._native is not None else self._over_grpc(images)
        try:
            async for response in stream:
                yield response
        finally:
            await stream.aclose()

    async def classify_single(self, image_data: ImageData) -> Any:
        """The output for one image.

        Raises :class:`AthenaError` with the service's message when the service refuses the image,
        ``ValueError`` when it cannot be decoded, unless its hashes are those of known content: then
        the output says so. ``grpc.aio.AioRpcError`` for what befell the call.
        """
        correlation_id = image_data.correlation_id or str(uuid.uuid4())
        if self._native is not None:
            image = _native.image(image_data, self.options, correlation_id)
            return await _native.single(self._client().classify(image), correlation_id)
        try:
            request = await self._input(image_data, correlation_id)
        except ImageError as error:
            raise UndecodableImageError(f"{UNDECODABLE}: {error}") from error
        result = await self.classifier.classify_single(request, timeout=self.options.timeout)
        if result.error.message:
            raise AthenaError(result.error.message)
        return result

    async def close(self) -> None:
        """Ends the streams, and closes the channel."""
        streams, self._streams = self._streams, []
        for stream in streams:
            await (stream.shutdown() if isinstance(stream, WorkerBatcher) else stream.aclose())
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _client(self) -> _athena.Client:
        assert self._native is not None
        if not hasattr(self, "_preprocessor"):
            self._preprocessor = _native.preprocessor(self.options)
        settings = (self.options.affiliate, self.options.timeout)
        return self._native.client(self._preprocessor, settings)._core

    def _id(self, image: ImageData) -> str:
        if image.correlation_id:
            return image.correlation_id
        if self.options.correlation_provider is not HashCorrelationProvider:
            return self.options.correlation_provider().get_correlation_id(image.data)
        self._count += 1
        return f"{self._prefix}-{self._count}"

    async def _pairs(self, images: AsyncIterator[ImageData]) -> AsyncIterator[tuple[str, Image]]:
        async for data in images:
            name = self._id(data)
            yield name, Image._of(_native.image(data, self.options, name), None)

    async def _stream(self, images: AsyncIterator[ImageData]) -> AsyncGenerator[Any, None]:
        assert self._native is not None
        options = self.options
        is_small = bool(options.compress_images)
        session = self._client().session(
            deployment=options.deployment_id,
            max_batch=min(options.max_batch_size, _MAX_BATCH[is_small]),
            keepalive=options.keepalive_interval or 30.0,
            image_timeout=options.timeout or 3600.0,
            max_in_flight_bytes=_IN_FLIGHT_BYTES[is_small] * max(_athena.CORES, 2),
        )
        key = (*self._native.account, options.deployment_id)
        stream = NativeStream(session, self._pairs(images), key)
        self._streams.append(stream)
        try:
            async for batch in stream:
                yield _Response(outputs=[_native.output(*one) for one in batch])
        finally:
            await stream.aclose()
            if stream in self._streams:
                self._streams.remove(stream)

    async def _over_grpc(self, images: AsyncIterator[ImageData]) -> AsyncGenerator[Any, None]:
        undecodable: dict[str, str] = {}

        async def transform(data: ImageData) -> Any:
            name = self._id(data)
            try:
                return await self._input(data, name)
            except ImageError as error:
                # Its hashes are looked up all the same, and its output will say why.
                undecodable[name] = f"{UNDECODABLE}: {error}"
                hashes = _hashes(*_athena.hashes(data.data))
                return _Input(affiliate=self.options.affiliate, correlation_id=name, hashes=hashes)

        batcher = WorkerBatcher(
            images.__aiter__(),
            transform,
            self.options.deployment_id,
            max_batch_size=self.options.max_batch_size,
            num_workers=self.options.num_workers,
            keepalive_interval=self.options.keepalive_interval or 30.0,
        )
        self._streams.append(batcher)
        try:
            async for response in await self.classifier.classify(batcher, timeout=None):
                if response.global_error.message:
                    raise AthenaError(response.global_error.message)
                for output in response.outputs:
                    reason = undecodable.pop(output.correlation_id, None)
                    if reason is not None and not output.error.message:
                        output.error.message = reason
                yield response
        except AthenaError:
            raise
        except (Exception, asyncio.CancelledError):
            if batcher.raised is not None:
                raise batcher.raised from None
            raise
        finally:
            await batcher.shutdown()
            if batcher in self._streams:
                self._streams.remove(batcher)

    async def _input(self, data: ImageData, name: str) -> Any:
        """An image as a message."""
        affiliate = self.options.affiliate
        if self.options.resize_images and len(data.data) != FRAME_BYTES:
            preprocessor = _native.preprocessor(self.options)
            prepared = await asyncio.to_thread(preprocessor.prepare, data.data)
            number, encoding = prepared._core.numbers
            provenance = prepared.provenance
            return _Input(
                affiliate=affiliate,
                correlation_id=name,
                data=bytes(prepared.data),
                format=number,
                encoding=encoding,
                hashes=_hashes(provenance.md5, provenance.sha1),
            )
        sent, number, encoding, md5, sha1 = await asyncio.to_thread(
            _native.as_it_is, data, self.options
        )
        return _Input(
            affiliate=affiliate,
            correlation_id=name,
            data=sent,
            format=number,
            encoding=encoding,
            hashes=_hashes(md5, sha1),
        )


def _hashes(md5: str | None, sha1: str | None) -> list[Any]:
    found = [(md5, "HASH_TYPE_MD5"), (sha1, "HASH_TYPE_SHA1")]
    return [_Hash(value=value, type=VALUES[name]) for value, name in found if value]
