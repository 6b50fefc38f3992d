"""The part of the grader that a server runs: its tables, submissions and leaderboards. It needs the database."""

from gymserve.system import extras

extras.require("server")
