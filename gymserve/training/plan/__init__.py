"""What a training is to do, checked before it begins."""
