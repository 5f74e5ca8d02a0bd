#!/usr/bin/env python
"""Entry to every command of Summit; `manage.py help` lists them."""

import os
import sys


def main() -> None:
    if sys.argv[1:2] == ["calculate"]:
        # Pure, and asked for one answer at a time: Django would take longer to start than it takes.
        from billing.calculator import command

        sys.exit(command.main(sys.argv[2:]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    from config.environment import EnvironmentFault

    try:
        execute_from_command_line(sys.argv)
    except EnvironmentFault as fault:
        sys.stderr.write(f"Error (environment): {fault}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
