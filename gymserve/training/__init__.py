"""Training: experiments, the models that they produce, and the processes that run them."""

from gymserve.system import extras

extras.require("server")
