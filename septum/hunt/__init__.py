"""Random schedules with rare preemptions, past what can be explored; a finding is made shorter."""
