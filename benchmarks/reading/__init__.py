"""Which reader of shards is faster, once it runs and until it does."""
