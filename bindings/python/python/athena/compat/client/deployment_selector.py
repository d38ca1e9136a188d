"""Which deployments there are."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ..grpc_wrappers.classifier_service import ClassifierServiceClient

if TYPE_CHECKING:
    from typing_extensions import Self


class DeploymentSelector:
    """Lists deployments."""

    channel: Any = None
    classifier: ClassifierServiceClient

    def __init__(self, channel: Any) -> None:
        self.logger = logging.getLogger(__name__)
        self.classifier = ClassifierServiceClient(channel)

    async def list_deployments(self) -> Any:
        """All deployments that the account can see, as ``ListDeploymentsResponse``."""
        response = await self.classifier.list_deployments()
        self.logger.debug("%d deployments", len(response.deployments))
        return response

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.channel is not None:
            await self.channel.close()
