"""How mail leaves: a server that speaks SMTP, a folder, or a provider with an API."""
