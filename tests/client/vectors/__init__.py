"""Tests of remote vector environments: one instance with all copies, and one for each."""
