"""The catalogue: the environments that a server offers, and how to make them."""

from gymserve.environments.catalogue import Catalogue, Environment, register
from gymserve.environments.listing import Listing, Spaces
from gymserve.environments.making import make, warm

__all__ = ["Catalogue", "Environment", "Listing", "Spaces", "make", "register", "warm"]
