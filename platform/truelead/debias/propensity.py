"""How probable each severity is given the words of a question, by a classifier of the words.

Shape suffixes: M different texts, W words and pairs of words, F folds, A severity strata.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from truelead.debias.randomness import generator
from truelead.errors import ConfigError

_WORD = re.compile(r"\w+")
_ITERATIONS = 2000
_PENALTY = 1.0
_LARGEST = 1e12
"""Where the weight of a stratum thought impossible is cut, so that its cost stays finite."""

Asked = Mapping[tuple[str, int, int], int]
"""(text, stratum, fold of the patient) -> how often that was asked."""


def fold_of(patient: str, folds: int) -> int:
    """The fold of a patient's ECGs, by a hash of the pseudonym."""
    return int(generator("propensity fold", patient).integers(folds))


@dataclass(frozen=True, eq=False)
class QuestionPropensity:
    """P(s given the words of the question), cross-fitted.

    A multinomial logistic regression on the words and pairs of neighbouring words (each counted
    once a question), one for each fold, fitted on the questions about patients of other folds:
    nobody's own severity decides the weight of the questions about him. A question in new words
    gets a probability too, from the words that are known.

    Assumes that severity depends on the words one by one (and by pairs); what depends on
    combinations beyond that is smoothed away. An L2 penalty of fixed size draws what is rarely
    asked towards the mean; with many questions it vanishes, and where each question has a word of
    its own the probabilities are then the counted shares.

    Sources: propensity score by logistic regression, Rosenbaum P. and Rubin D., Biometrika 1983;
    cross-fitting, Chernozhukov V. et al., Econometrics Journal 2018.

    Attributes:
        strata: A, the number of strata.
        folds: F.
        marginal_A: P(s) over all questions asked.
    """

    strata: int
    folds: int
    marginal_A: NDArray[np.float64]
    _words: dict[str, int]
    _weight_FAW: NDArray[np.float64]
    _intercept_FA: NDArray[np.float64]
    _known: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    @classmethod
    def fit(cls, asked: Asked, strata: int, folds: int) -> QuestionPropensity:
        """Fit one classifier for each fold.

        Raises:
            ConfigError: the questions of some folds' complement are all about one stratum, or
                none is left to fit on.
        """
        from scipy.sparse import csr_matrix
        from sklearn.linear_model import LogisticRegression

        rows = sorted(asked)
        count_M = np.array([asked[row] for row in rows], dtype=np.float64)
        stratum_M = np.array([stratum for _, stratum, _ in rows])
        fold_M = np.array([fold for _, _, fold in rows])
        terms = [_terms(text) for text, _, _ in rows]
        words = {word: column for column, word in enumerate(sorted(set().union(*terms)))}
        columns = [words[word] for some in terms for word in some]
        starts = np.cumsum([0, *(len(some) for some in terms)])
        shape = (len(rows), len(words))
        word_MW = csr_matrix((np.ones(len(columns)), columns, starts), shape=shape)
        weight_FAW = np.zeros((folds, strata, word_MW.shape[1]))
        # A stratum that is not seen has probability 0.
        intercept_FA = np.full((folds, strata), -np.inf)
        for fold in range(folds):
            kept_M = fold_M != fold
            seen = np.unique(stratum_M[kept_M])
            if len(seen) < 2:
                raise ConfigError(
                    f"propensity classifier: expected questions about 2 strata outside fold {fold} "
                    f"of {folds}, found {len(seen)}: use fewer folds, or the counts"
                )
            found = LogisticRegression(C=1.0 / _PENALTY, max_iter=_ITERATIONS).fit(
                word_MW[kept_M], stratum_M[kept_M], sample_weight=count_M[kept_M]
            )
            coefficient_AW, intercept_A = found.coef_, found.intercept_
            if len(seen) == 2:
                # Two classes come as the log-odds of the second.
                coefficient_AW = np.concatenate([np.zeros_like(coefficient_AW), coefficient_AW])
                intercept_A = np.array([0.0, intercept_A[0]])
            weight_FAW[fold, seen] = coefficient_AW
            intercept_FA[fold, seen] = intercept_A
        marginal_A = np.bincount(stratum_M, weights=count_M, minlength=strata) / count_M.sum()
        return cls(strata, folds, marginal_A, words, weight_FAW, intercept_FA)

    def probability_FA(self, text: str) -> NDArray[np.float64]:
        """P(s given the words), by the classifier of each fold; float64 [F, A], rows sum to 1."""
        if text not in self._known:
            columns = [self._words[word] for word in _terms(text) if word in self._words]
            logit_FA = self._intercept_FA + self._weight_FAW[:, :, columns].sum(axis=2)
            likelihood_FA = np.exp(logit_FA - logit_FA.max(axis=1, keepdims=True))
            self._known[text] = likelihood_FA / likelihood_FA.sum(axis=1, keepdims=True)
        return self._known[text]

    def weight(self, text: str, stratum: int, fold: int) -> float:
        """Stabilised weight P(s) / P(s given q), which is P(q) / P(q given s); may be infinite."""
        probability = float(self.probability_FA(text)[fold, stratum])
        return float(self.marginal_A[stratum]) / probability if probability > 0 else float("inf")

    def held_out_bits(self, asked: Asked) -> float:
        """What the words tell of severity beyond its marginal, in bits a question.

        The cross-entropy of the marginal less that of the classifiers, each on its own fold: a
        lower bound of I(Q;S) but for the error of sampling, about 0 or below it where the words
        tell nothing.
        """
        total = sum(asked.values())
        weights = {row: self.weight(*row) for row in asked}
        return (
            -sum(count * math.log2(min(weights[row], _LARGEST)) for row, count in asked.items())
            / total
        )


def _terms(text: str) -> list[str]:
    """The words of a text and its pairs of neighbouring words, each once, in lower case."""
    words = _WORD.findall(text.lower())
    pairs = (" ".join(pair) for pair in itertools.pairwise(words))
    return sorted({*words, *pairs})
