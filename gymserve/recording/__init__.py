"""Data derived from journals, off the hot path: videos, statistics, data sets, monitor files."""

from gymserve.system import extras

extras.require("server")
