"""The v1 API: instances over HTTP and WebSocket."""
