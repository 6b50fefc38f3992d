"""Reporting to challenge servers: `embedded` is this server itself, `crowdai` an external one with crowdAI's protocol.

This server accepts the same protocol from external graders in `gymserve/web/challenges/external.py`.
"""

SUBMITTED, INITIATED, GRADED, FAILED = STATUSES = ("submitted", "initiated", "graded", "failed")
EMBEDDED, CROWDAI = KINDS = ("embedded", "crowdai")
KEY_UNKNOWN = "The API key did not match any participant record."
CHALLENGE_UNKNOWN = "The Challenge Client Name string did not match any challenge."
NO_SLOTS = "The participant has no submission slots remaining for today."
NOT_OPEN = "The challenge is not open for submissions at this time."
SUBMISSION_UNKNOWN = "Submission ID is invalid."
