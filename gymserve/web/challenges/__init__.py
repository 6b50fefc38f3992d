"""Views and pages of challenges, submissions and leaderboards."""
