"""What requests and answers of all subjects hold, as the API's description tells it."""

from typing import Annotated

from msgspec import Meta, Struct


class Error(Struct):
    message: Annotated[str, Meta(description="what is wrong, and the way out")]
    error: Annotated[str, Meta(description="the error's name")]
    retry_after: Annotated[float, Meta(description="seconds to wait, where a rate is exceeded")] = 0.0
