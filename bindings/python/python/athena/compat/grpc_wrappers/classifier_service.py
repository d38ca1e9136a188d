"""The service's calls."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Any

import athena
from athena import _athena
from athena._contract import MESSAGES, Empty

from .. import _native
from .._grpc import rpc_error
from ..client.channel import Channel
from ..generated.athena.athena_pb2_grpc import ClassifierServiceStub


class ClassifierServiceClient:
    """The calls of the contract over a channel, of this package or of grpcio."""

    def __init__(self, channel: Any) -> None:
        self._native = channel if isinstance(channel, Channel) else None
        self._channel = channel
        self._stub: ClassifierServiceStub | None = None

    @property
    def stub(self) -> ClassifierServiceStub:
        """The stub over grpcio."""
        if self._stub is None:
            self._stub = ClassifierServiceStub(self._channel)
        return self._stub

    @stub.setter
    def stub(self, stub: ClassifierServiceStub) -> None:
        self._stub = stub

    async def classify(self, request_iter: AsyncIterable[Any], timeout: float | None = None) -> Any:
        """A stream of requests and responses, through grpcio on either kind of channel."""
        return self.stub.Classify(request_iter, timeout=timeout, wait_for_ready=True)

    async def list_deployments(self) -> Any:
        """All deployments that the account can see."""
        if self._native is None:
            return await self.stub.ListDeployments(Empty())
        try:
            found = await self._native.client(None, ("", None)).list_deployments()
        except athena.Error as error:
            raise rpc_error(error) from error
        deployments = [
            MESSAGES["Deployment"](deployment_id=one.id, backlog=one.backlog) for one in found
        ]
        return MESSAGES["ListDeploymentsResponse"](deployments=deployments)

    async def classify_single(self, request: Any, timeout: float | None = None) -> Any:
        """One input, one output."""
        if self._native is None:
            return await self.stub.ClassifySingle(request, timeout=timeout, wait_for_ready=True)
        image = _athena.Image.from_payload(
            request.data,
            request.format,
            request.encoding,
            *_native.digests(request),
            request.correlation_id or None,
            request.affiliate,
            timeout,
        )
        client = self._native.client(None, ("", None))
        return await _native.single(client._core.classify(image), request.correlation_id)
