"""Where scores are reported: `embedded` is this server's own database, `crowdai` another server by crowdAI's protocol.

The other side of that protocol, for graders on other machines, is `embedded` behind `gymserve/web/challenges/external.py`.
"""

SUBMITTED, INITIATED, GRADED, FAILED = STATUSES = ("submitted", "initiated", "graded", "failed")
EMBEDDED, CROWDAI = KINDS = ("embedded", "crowdai")
KEY_UNKNOWN = "The API key did not match any participant record."
CHALLENGE_UNKNOWN = "The Challenge Client Name string did not match any challenge."
NO_SLOTS = "The participant has no submission slots remaining for today."
NOT_OPEN = "The challenge is not open for submissions at this time."
SUBMISSION_UNKNOWN = "Submission ID is invalid."
