"""The same bytes of evidence and split for any number of actors and nodes, killed and resumed."""
