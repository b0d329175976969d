"""The store of artifacts, its copy at a URI, and the sealed truth beside it."""
