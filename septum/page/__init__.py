"""Results to look at: one file that opens anywhere, a picture for a mail, a local page on which one takes each step oneself."""
