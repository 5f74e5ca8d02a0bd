"""The verbs of ingest, one a file: `ingest_events`, `import_usage`."""
