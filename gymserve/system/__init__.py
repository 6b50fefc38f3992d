"""What the operating system gives: processes, files, memory that is shared, logs."""
