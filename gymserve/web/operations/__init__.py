"""Views for operators: health, metrics, the machine."""
