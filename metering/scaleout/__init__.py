"""Scale-out: the large tables spread by tenant over the workers of a Citus cluster."""
