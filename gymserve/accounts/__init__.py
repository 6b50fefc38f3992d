"""Accounts: who somebody is, and what they may do. Knows the database and no HTTP."""
