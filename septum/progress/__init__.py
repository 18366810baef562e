"""Livelocks: schedules that are fair, and serve a thread never."""
