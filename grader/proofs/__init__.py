"""Receipts and bundles, and the replays that verify them."""

from gymserve.system import extras

extras.require("grade")
