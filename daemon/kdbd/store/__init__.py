"""Where keys are kept: files, their format, the journal, and who owns them."""
