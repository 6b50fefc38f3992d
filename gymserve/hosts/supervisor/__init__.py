"""The process that forks, places and watches hosts."""
