"""Schemas that all requests and responses share, for the API description."""

from typing import Annotated, Any, TypeAlias

from msgspec import Meta, Struct

JSONObject: TypeAlias = dict[str, Any]
"""An object with any members. msgspec describes them only as `Any`: it refuses `object`, and a type that contains itself."""


class Error(Struct):
    message: Annotated[str, Meta(description="what is wrong, and how to fix it")]
    error: Annotated[str, Meta(description="the error's name")]
    retry_after: Annotated[float, Meta(description="seconds to wait, if a rate limit is exceeded")] = 0.0
