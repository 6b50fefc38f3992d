"""The supervisor: the process that forks and watches hosts, and chooses the host of each instance."""

from gymserve.system import extras

extras.require("server")
