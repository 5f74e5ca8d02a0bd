"""Django's PostgreSQL back end, told at the first connection where the server is and who speaks."""
