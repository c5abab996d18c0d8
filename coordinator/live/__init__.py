"""The running firm: departments in operation, their policies exchanged while the others go on."""
