"""Host processes, in which instances live, and the ways to reach them."""

from gymserve.system import extras

extras.require("grade")
