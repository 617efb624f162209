"""Run a study of strategies, seeds and conditions: python jobs/study.py STUDY [--set a.b=c]"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from truelead import chain
from truelead.errors import TrueLeadError
from truelead.study.console import print_result


def main() -> int:
    """Status 0, or 2 with one line on what the user can mend."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="a.b=c", dest="overrides")
    given = parser.parse_args()
    try:
        print_result(chain.study(given.study, given.overrides))
    except TrueLeadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
