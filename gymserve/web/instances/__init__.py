"""Instances over HTTP and WebSocket: the v1 API."""
