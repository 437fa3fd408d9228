"""The command line: parses arguments, shows progress, prints. Everything else is imported once a verb is chosen."""
