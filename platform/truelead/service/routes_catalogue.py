"""Routes that help to ask: ECG-QA's question templates in words, and generated ECGs to try."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from fastapi import APIRouter

from truelead.questions.bank import QuestionBank
from truelead.questions.phrasing import spoken
from truelead.questions.templates import TEMPLATES
from truelead.service.examples import EXAMPLES, example
from truelead.service.openapi import errors
from truelead.service.wire_base import NOTICE, Wire
from truelead.service.wire_ecg import LeadsInput


class TemplateDescription(Wire):
    """A question template: fill the placeholders with the words of the slots' domains."""

    template_id: int
    question_type: str
    ecgs: int
    slots: tuple[str, ...]
    placeholders: tuple[str, ...]
    wordings: tuple[str, ...]
    options: tuple[str, ...]


class DomainValue(Wire):
    """A value of a slot, and how it is called in a question."""

    value: str
    spoken: str


class TemplateList(Wire):
    """All templates that can be asked, and the values of their slots."""

    templates: tuple[TemplateDescription, ...]
    domains: dict[str, tuple[DomainValue, ...]]
    notice: str = NOTICE


class ExampleEntry(Wire):
    """An example without its samples."""

    number: int
    title: str


class ExampleList(Wire):
    """All examples."""

    examples: tuple[ExampleEntry, ...]
    notice: str = NOTICE


class ExampleEcg(Wire):
    """A generated ECG; no patient's."""

    number: int
    title: str
    codes: dict[str, float]
    generated: bool
    ecg: LeadsInput


def catalogue_routes() -> APIRouter:
    """The routes; they need no model."""
    router = APIRouter(tags=["catalogue"], responses=errors(401, 403, 404))

    @router.get("/v1/templates")
    def templates() -> TemplateList:
        """ECG-QA's question templates, in training wordings first and test wordings last."""
        return template_list()

    @router.get("/v1/examples")
    def examples() -> ExampleList:
        """The generated ECGs by number and title."""
        return ExampleList(
            examples=tuple(
                ExampleEntry(number=at, title=title) for at, (title, _) in enumerate(EXAMPLES)
            )
        )

    @router.get("/v1/examples/{number}")
    def one_example(number: int) -> ExampleEcg:
        """One generated ECG, ready to be asked about."""
        made: dict[str, Any] = example(number)
        return ExampleEcg.model_validate(made)

    return router


@lru_cache(maxsize=1)
def template_list() -> TemplateList:
    """The templates that have a rule, as they are asked in training and test."""
    bank = QuestionBank()
    found = []
    for number in bank.templates:
        template = TEMPLATES[number]
        words = bank.wordings(number)
        letters = iter("abc")
        placeholders = tuple("lead" if slot == "lead" else next(letters) for slot in template.slots)
        # A choose question's options are what it is filled with; see `QuestionBank.options`.
        fixed = template.kind == "verify" or (template.kind == "query" and not template.slots)
        first = next(iter(bank.attributes(number)))
        found.append(
            TemplateDescription(
                template_id=number,
                question_type=template.question_type,
                ecgs=template.ecgs,
                slots=template.slots,
                placeholders=placeholders,
                wordings=tuple(pattern for _, pattern in (*words.train, *words.test)),
                options=bank.options(number, first) if fixed else (),
            )
        )
    domains = {
        kind: tuple(DomainValue(value=value, spoken=spoken(value)) for value in values)
        for kind, values in bank.domains.items()
    }
    return TemplateList(templates=tuple(found), domains=domains)
