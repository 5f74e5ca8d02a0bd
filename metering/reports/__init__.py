"""Reports of gateways: counts and active users of one node and window, each exactly once."""
