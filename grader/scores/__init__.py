"""What a journal is worth, and how scores rank."""
