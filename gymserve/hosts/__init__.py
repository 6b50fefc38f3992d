"""Host processes, in which instances live, and the ways to reach them."""
