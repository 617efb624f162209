"""The test suites, in the order of the report."""

from truelead.evaluate.suites.balanced_do_question import BalancedDoQuestion
from truelead.evaluate.suites.directional import Directional
from truelead.evaluate.suites.ecg_qa import EcgQa
from truelead.evaluate.suites.interventional import Interventional
from truelead.evaluate.suites.invariance import Invariance
from truelead.evaluate.suites.observed import Observed
from truelead.evaluate.suites.order_swap import OrderSwap
from truelead.evaluate.suites.random_ecg import RandomEcg
from truelead.evaluate.suites.suite import Cells, Measure, Suite, SuiteContext
from truelead.evaluate.suites.wording import Wording
from truelead.evaluate.suites.zero_shot import ZeroShot

SUITES: dict[str, type[Suite]] = {
    "observed": Observed,
    "balanced-do-question": BalancedDoQuestion,
    "interventional": Interventional,
    "random-ecg": RandomEcg,
    "order-swap": OrderSwap,
    "invariance": Invariance,
    "directional": Directional,
    "wording": Wording,
    "zero-shot": ZeroShot,
    "ecg-qa": EcgQa,
}

__all__ = ["SUITES", "Cells", "Measure", "Suite", "SuiteContext"]
