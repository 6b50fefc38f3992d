"""What operators look at: health, figures, the machine."""
