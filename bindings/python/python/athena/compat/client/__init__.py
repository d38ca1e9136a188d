"""What programs import from here."""

from .channel import CredentialHelper, TokenData, create_channel_with_credentials
from .exceptions import (
    AuthenticationError,
    ClassificationOutputError,
    CredentialError,
    OAuthError,
    TokenExpiredError,
)
from .utils import (
    get_output_error_summary,
    get_successful_outputs,
    has_output_errors,
    log_output_errors,
    process_classification_outputs,
)

__all__ = [
    "AuthenticationError",
    "ClassificationOutputError",
    "CredentialError",
    "CredentialHelper",
    "OAuthError",
    "TokenData",
    "TokenExpiredError",
    "create_channel_with_credentials",
    "get_output_error_summary",
    "get_successful_outputs",
    "has_output_errors",
    "log_output_errors",
    "process_classification_outputs",
]
