"""The stub of the service, for a channel of grpcio."""

from __future__ import annotations

from typing import Any

from athena._contract import MESSAGES, Empty

_SERVICE = "/athena.ClassifierService/"


class ClassifierServiceStub:
    """Calls the service through a channel."""

    def __init__(self, channel: Any) -> None:
        self.Classify = channel.stream_stream(
            _SERVICE + "Classify",
            request_serializer=MESSAGES["ClassifyRequest"].SerializeToString,
            response_deserializer=MESSAGES["ClassifyResponse"].FromString,
        )
        self.ListDeployments = channel.unary_unary(
            _SERVICE + "ListDeployments",
            request_serializer=Empty.SerializeToString,
            response_deserializer=MESSAGES["ListDeploymentsResponse"].FromString,
        )
        self.ClassifySingle = channel.unary_unary(
            _SERVICE + "ClassifySingle",
            request_serializer=MESSAGES["ClassificationInput"].SerializeToString,
            response_deserializer=MESSAGES["ClassificationOutput"].FromString,
        )
