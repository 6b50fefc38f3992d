"""Receipts and bundles, and the replays that prove them."""
