"""What a check found, as text for a terminal or a mail, and as JSON."""
