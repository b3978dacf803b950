"""Where keys are kept: files, the journal, and who owns them."""
