"""Passwords of tests: the hash of the real ones, made quickly."""

from django.contrib.auth.hashers import Argon2PasswordHasher


class QuickArgon2(Argon2PasswordHasher):
    """Argon2 with the least work: nobody guesses at the passwords of tests."""

    time_cost = 1
    memory_cost = 8
    parallelism = 1
