"""One live environment: its steps, its journal, its trials."""
