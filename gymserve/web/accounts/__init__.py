"""Views and pages of accounts, keys, logins and tickets."""
