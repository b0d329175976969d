"""The command line: the only floor that prints; a command is one file in `cli.commands`."""
