"""Receipts and bundles, and the replays that verify them."""
