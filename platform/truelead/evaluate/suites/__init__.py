"""The test suites, in the order of the report."""

from truelead.evaluate.suites.balanced_do_question import BalancedDoQuestion
from truelead.evaluate.suites.ecg_qa import EcgQa
from truelead.evaluate.suites.observed import Observed
from truelead.evaluate.suites.random_ecg import RandomEcg
from truelead.evaluate.suites.suite import Cells, Measure, Suite, SuiteContext
from truelead.evaluate.suites.wording import Wording

SUITES: dict[str, type[Suite]] = {
    "observed": Observed,
    "balanced-do-question": BalancedDoQuestion,
    "random-ecg": RandomEcg,
    "wording": Wording,
    "ecg-qa": EcgQa,
}

__all__ = ["SUITES", "Cells", "Measure", "Suite", "SuiteContext"]
