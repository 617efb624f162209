"""Questions over a whole ECG set: python jobs/predict.py MODEL ECGS... --questions FILE -o DIR"""

from __future__ import annotations

import sys

import typer

from truelead.cli_predict import add_command
from truelead.errors import TrueLeadError


def main() -> int:
    """Status 0; 1 where ECGs were set aside; 2 with one line on what the user can mend."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    add_command(app)
    try:
        app()
    except TrueLeadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
