"""The way from a serving process to instances in their hosts."""
