"""Schemas that all requests and responses share, for the API description."""

from typing import Annotated

from msgspec import Meta, Struct


class Error(Struct):
    message: Annotated[str, Meta(description="what is wrong, and how to fix it")]
    error: Annotated[str, Meta(description="the error's name")]
    retry_after: Annotated[float, Meta(description="seconds to wait, if a rate limit is exceeded")] = 0.0
