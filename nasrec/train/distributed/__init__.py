"""Training by several processes: communication, common failure, and sharded embedding tables."""
