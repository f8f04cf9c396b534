"""What is wrong with what was typed stands at its field, in the language of the page; and the keyboard is there."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Browser, ViewportSize, expect
from pydantic import ValidationError

from cases.registry import KINDS
from cases.vocabulary.refusals import Refused, faults_of
from starter.console import vocabulary
from starter.console.faults import at_fields, lacking, refused_at_fields
from starter.console.forms import _BY_PATTERN, Field, body_of, fields_of, first_input, inputs_in
from tests.console.page import faults_on, open_page, variants
from tests.console.samples import shipment
from tests.console.server import ConsoleServer
from tests.console.test_parts import EN, SHANGHAI, ZH


def _wrong(kind: str, name: str, sent: dict[str, list[str]], words: Any = EN) -> dict[str, str]:
    """What a form says of what was typed, by field."""
    model = KINDS[kind].COMMANDS[name]
    fields = fields_of(model, words, {})
    body = {"by": {"id": "a-1", "role": "agent"}, **body_of(fields, sent, SHANGHAI)}
    with pytest.raises(ValidationError) as error:
        model.model_validate(body)
    return at_fields(faults_of(error.value), fields, sent, words)


@pytest.mark.parametrize(
    ("kind", "name", "sent", "said"),
    [
        ("complaint", "note", {}, {"text": "This is needed."}),
        ("complaint", "note", {"text": ["x" * 4001]}, {"text": "At most 4000 characters."}),
        ("complaint", "reply", {"stage": ["soon"]}, {"stage": "Choose one of the list."}),
        ("complaint", "promise", {"reply_by": ["soon"]}, {"reply_by": "A day and a time, like 2026-03-04T09:00."}),
        ("complaint", "attach", {"name": ["a"], "where": ["b"], "sha256": ["c"]}, {"sha256": "64 digits of"}),
        ("complaint", "attach", {"name": ["a"], "where": ["b"], "sha256": ["0" * 64], "size": ["-1"]},
         {"size": "At least 0."}),
        ("complaint", "escalate", {"reason": ["a"], "to": ["主 管"]}, {"to": "Letters, digits and"}),
        ("complaint", "request_approval", {"subject": ["x" * 129]}, {"subject": "At most 128 characters."}),
        ("complaint", "merge", {"into": ["赔 款"]}, {"into": "The number of a case, like"}),
        ("complaint", "request_approval", {"subject": ["a"], "amount": ["1,5"]}, {"amount": "A number without signs"}),
        ("complaint", "propose", {"options": ["x" * 4001]}, {"options": "At most 4000 characters."}),
        ("claim", "assess", {"cause": ["company"], "loss.total_value": ["2"], "loss.lost_value": ["3"]},
         {"loss": "These do not go together"}),
        ("claim", "assess", {"cause": ["company"], "override.amount": ["9"]}, {"override.reason": "This is needed."}),
        # The second row that was typed into is the second of the body, wherever it stands on the page.
        ("quality", "judge", {"loss.1.amount": ["5.00"], "loss.4.amount": ["much"]}, {"loss.4.amount": "A number"}),
    ],
)  # fmt: skip
def test_a_fault_stands_at_its_field_in_words(
    kind: str, name: str, sent: dict[str, list[str]], said: dict[str, str]
) -> None:
    found = _wrong(kind, name, sent)
    assert {field: found.get(field, "")[: len(text)] for field, text in said.items()} == said
    in_chinese = _wrong(kind, name, sent, ZH)
    assert in_chinese.keys() == found.keys()
    assert all(not text.isascii() and "^" not in text for text in in_chinese.values())
    assert all("^" not in text and "pattern" not in text for text in found.values())


def test_every_pattern_that_a_form_asks_for_has_words() -> None:
    for name, model in vocabulary.commands().items():
        for field in (one for _, one in inputs_in(fields_of(model, EN, {}), {})):
            assert EN.has("paper", f"wrong_{field.written}"), (name, field)
    asked = {
        shape["pattern"]: path
        for model in vocabulary.commands().values()
        for path, shape in vocabulary._leaves(model)
        if "pattern" in shape and path[0] not in vocabulary.OWN
    }
    assert {path for pattern, path in asked.items() if pattern not in _BY_PATTERN} == set()


def test_what_a_rule_refuses_stands_at_the_field_that_it_names() -> None:
    fields = fields_of(KINDS["complaint"].COMMANDS["promise"], ZH, {})
    past = Refused("past", "reply_by = 2020-01-01T10:00:30+08:00 is not after 2026-03-04", "S1-4.1")
    assert refused_at_fields(past, fields, {}, ZH) == {"reply_by": "时间已过 [S1-4.1]"}
    assert refused_at_fields(past, fields, {}, EN) == {"reply_by": EN.refusal(past)}
    assert refused_at_fields(Refused("past", "promise: reply_by is over"), fields, {}, ZH) == {"reply_by": "时间已过"}
    # A field that is only named further on, or none of the form, is not what it is about.
    for message in ("at = 2020 lies before reply_by = 2021", "promise: the limit is near", "reply_by"):
        assert refused_at_fields(Refused("past", message), fields, {}, ZH) == {}


def test_where_the_keyboard_begins() -> None:
    fields = fields_of(KINDS["claim"].COMMANDS["assess"], EN, {})
    assert first_input(fields, {}, {}) == "cause"
    assert first_input(fields, {}, {"override.reason": "x"}) == "override.reason"
    # Nothing is typed into a group itself.
    assert first_input(fields, {}, {"loss": "x"}).startswith("loss.")
    assert first_input((), {}, {}) == ""
    assert lacking((Field("reason", "area", "Reason", required=True),), {}, EN) == {"reason": "This is needed."}
    assert lacking((Field("reason", "area", "Reason", required=True),), {"reason": "x"}, EN) == {}


# --- in the browser -------------------------------------------------------------------------------

SIZES: dict[str, ViewportSize] = {"wide": {"width": 1440, "height": 900}, "narrow": {"width": 390, "height": 844}}
UNDER = """(one) => {
    const top = document.querySelector('.top'), box = one.getBoundingClientRect();
    const head = getComputedStyle(top).position === 'sticky' ? top.getBoundingClientRect().bottom : 0;
    return box.top >= head && box.bottom <= innerHeight;
}"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("language", "size"), variants(("en", "wide"), ("en", "narrow"), ("zh", "wide"), ("zh", "narrow"))
)
async def test_the_keyboard_is_in_the_form_and_what_is_wrong_is_said_there(
    console: ConsoleServer, browser: Browser, language: str, size: str
) -> None:
    case_id = await console.file("complaint", {"category": "other", "unit": "north"})
    words = {"en": EN, "zh": ZH}[language]
    async with open_page(browser, console, "ann-7", language=language, errors=2, viewport=SIZES[size]) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}&do=request_approval")
        subject = page.locator("#f-subject")
        await expect(subject).to_be_focused()
        assert await subject.evaluate(UNDER)
        # Words of one's own are meant, and left empty.
        await page.keyboard.press("End")
        await page.keyboard.press("Tab")
        await expect(page.locator("#f-subject-other")).to_be_focused()
        await page.keyboard.press("Tab")
        await page.keyboard.type("1,5")
        await page.keyboard.press("Enter")
        # All that is wrong at once, each at its field and in the list above, and what was typed is still there.
        await expect(page.locator("#wrong li")).to_have_count(2)
        await expect(subject).to_have_attribute("aria-invalid", "true")
        await expect(subject).to_have_attribute("aria-describedby", re.compile("^f-subject-fault"))
        await expect(page.locator("#f-subject-fault")).to_have_text(words.say("paper.missing"))
        await expect(page.locator("#f-amount-fault")).to_have_text(words.say("paper.wrong_amount"))
        await expect(subject).to_have_value("*")
        await expect(page.locator("#f-amount")).to_have_value("1,5")
        await expect(subject).to_be_focused()
        assert await subject.evaluate(UNDER)
        assert "^" not in await page.locator("main").inner_text()
        assert await faults_on(page, f"{language} {size}") == []
        # From the list to the field.
        await page.locator("#wrong a").last.focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("#f-amount")).to_be_focused()
        assert await page.locator("#f-amount").evaluate(UNDER)
        await page.locator("#f-subject-other").focus()
        await page.keyboard.type("赔 款")
        await page.keyboard.press("Enter")
        await expect(page.locator("#wrong li")).to_have_count(1)
        await expect(page.locator("#f-subject-other")).to_have_value("赔 款")
        await expect(page.locator("#f-amount")).to_be_focused()
        await page.keyboard.press("ControlOrMeta+a")
        await page.keyboard.type("1.50")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**done=request_approval*")


async def test_without_a_script_too_and_in_the_form_of_a_payee(console: ConsoleServer, browser: Browser) -> None:
    facts = {"factor": "loss", "claimant": {"relation": "sender"}, "unit": "north", "shipment": shipment("YD-FAULTS")}
    case_id = await console.file("claim", facts)
    async with open_page(browser, console, "ann-7", language="zh", java_script_enabled=False, errors=1) as page:
        await page.goto(f"{console.url}/console/case?id={case_id}&do=name_payee")
        await page.locator("[name=relation]").select_option("sender")
        await page.locator("[name='details.name']").fill("林小满")
        await page.locator("main form button.main").click()
        await expect(page.locator("#f-details-account-fault")).to_have_text("此项必填。")
        await expect(page.locator("[name='details.account']")).to_be_focused()
        await expect(page.locator("[name='details.name']")).to_have_value("林小满")
