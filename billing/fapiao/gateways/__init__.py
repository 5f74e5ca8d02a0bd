"""The tax platform: what is asked of it (`port`), and how it is spoken to over HTTP (`http`)."""
