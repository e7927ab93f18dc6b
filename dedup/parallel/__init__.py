"""Work spread over cores: threads or processes, and the memory that they share."""
