"""Models over HTTP: requests and pages."""
