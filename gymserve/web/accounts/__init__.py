"""Accounts over HTTP: users, keys, logins, tickets."""
