"""How a serving process reaches instances in their hosts."""
