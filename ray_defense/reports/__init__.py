"""Results as data and as pages: what a run and a sweep tell, and the pictures beside it."""
