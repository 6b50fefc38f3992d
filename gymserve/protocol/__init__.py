"""What the server and its clients agree on: errors, messages, spaces, recipes. It imports nothing of ours."""
