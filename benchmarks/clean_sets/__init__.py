"""How often an audit of clean images gives a false alarm."""
