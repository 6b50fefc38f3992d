"""All HTTP of ours, and the only room that knows Flask."""
