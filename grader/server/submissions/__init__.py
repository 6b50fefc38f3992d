"""Submissions, from their beginning to their verification."""
