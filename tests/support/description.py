"""Checks responses against the server's own OpenAPI description."""

import json
from typing import Any

from jsonschema import Draft202012Validator

from tests.support.servers import Server


class Description:
    """A server's /openapi.json."""

    def __init__(self, server: Server) -> None:
        self.document = server.get("/openapi.json").json
        self.validators: dict[str, Draft202012Validator] = {}

    @property
    def operations(self) -> set[tuple[str, str]]:
        """(method, path) of all operations."""
        return {(method, path) for path, methods in self.document["paths"].items() for method in methods}

    def check(self, method: str, path: str, status: int, media: str | None, body: bytes) -> None:
        """Fails if the response of the operation `method` `path` differs from its description."""
        answers = self.document["paths"][path][method]["responses"]
        assert str(status) in answers, f"{method} {path} answered {status}: {body[:500]!r}"
        content = answers[str(status)].get("content")
        if content is None:
            assert not body, f"{method} {path} answered something with {status}: {body[:500]!r}"
            return
        media = (media or "").partition(";")[0]
        assert media in content, f"{method} {path} answered {status} with {media}: {body[:500]!r}"
        if media == "application/json":
            self._validator(content[media]["schema"]).validate(json.loads(body))

    def _validator(self, schema: dict[str, Any]) -> Draft202012Validator:
        name = json.dumps(schema)
        if name not in self.validators:
            schema = {**schema, "components": self.document["components"]}
            self.validators[name] = Draft202012Validator(schema)
        return self.validators[name]
