"""Templates of one's own: they go before the built-in ones, and one that does not work harms nobody."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from activities.notify.build import build_notifier
from activities.notify.templates import Templates
from activities.notify.translations import LANGUAGES
from activities.policies.store import Policies
from tests.notifications import AT, Attempts, MailServer, batch, order

OWN = Path(__file__).parents[2] / "activities" / "notify" / "templates"
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        file = tmp_path / "own" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return tmp_path / "own"

    return write


def facts(**more: Any) -> dict[str, Any]:
    event = order("breach", "supervisor").event
    base = {"case_id": "complaint:C-1", "number": "N-1", "kind": "complaint", "roles": ["supervisor"], "clause": "C"}
    return {**base, "event": event, "view": {}, **more}


def test_one_of_a_folder_goes_before_and_the_rest_stay(write: Write) -> None:
    folder = write("zh/breach.txt", '{% extends "_base.txt" %}{% block subject %}超时了{% endblock %}')
    templates = Templates(folder)
    assert templates.render("breach", "zh", facts()).subject == "[N-1] 超时了"
    assert templates.render("breach", "en", facts()).subject == "[N-1] Deadline missed: answer"
    assert templates.render("generic", "zh", facts()).subject == "[N-1] 已超时"
    # The frame around all of them, and a template for a notice that only this company has.
    write("zh/_base.txt", "某快递 {% block subject %}{% endblock %}\n{% block body %}{% endblock %}")
    write("zh/special.txt", "专报\n{{ case_id }}")
    templates = Templates(folder)
    assert templates.render("breach", "zh", facts()).subject == "某快递 超时了"
    assert templates.render("warning", "zh", facts()).subject == "某快递 即将到期：答复"
    assert templates.render("special", "zh", facts()).body == "complaint:C-1\n"
    assert all(not templates.render(name, "zh", facts()).remark for name in ("breach", "special", "unknown"))


def test_words_are_replaced_one_by_one(write: Write) -> None:
    templates = Templates(write("zh/words.toml", '[clock]\nanswer = "回话"\n'))
    assert templates.render("breach", "zh", facts()).subject == "[N-1] 已超时：回话"
    assert "投诉" in templates.render("breach", "zh", facts()).body


def test_a_changed_template_is_read_again(write: Write) -> None:
    templates = Templates(write("en/breach.txt", "one\n"))
    assert templates.render("breach", "en", facts()).subject == "one"
    file = write("en/breach.txt", "another\n") / "en" / "breach.txt"
    os.utime(file, (1, 1))
    assert templates.render("breach", "en", facts()).subject == "another"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{% block subject %}never closed", "TemplateSyntaxError"),
        ("{{ no_such_fact }}", "UndefinedError"),
        ("{{ event.data.nothing.more }}", "UndefinedError"),
        ("{{ case_id | no_such_filter }}", "TemplateAssertionError"),
        ('{% include "nowhere.txt" %}', "TemplateNotFound"),
        ('{% extends "../../zh/words.toml" %}', "TemplateNotFound"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        # The sandbox holds for a folder of one's own too.
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
        ("{{ ('%s' * 100)|format(case_id) }}", "TypeError"),
    ],
)
def test_one_that_does_not_work_gives_way_to_the_built_in_one_and_says_so(write: Write, text: str, error: str) -> None:
    templates = Templates(write("en/breach.txt", text))
    with capture_logs() as logs:
        rendered = templates.render("breach", "en", facts())
    assert rendered.subject == "[N-1] Deadline missed: answer"
    assert rendered.remark == f"template en/breach.txt does not work ({error}); another one is used"
    assert [(entry["event"], entry["template"], entry["error"]) for entry in logs] == [
        ("template_failed", "en/breach", error)
    ]


def test_a_frame_that_does_not_work_gives_way_as_a_whole(write: Write) -> None:
    templates = Templates(write("en/_base.txt", "{{ no_such_fact }}"))
    rendered = templates.render("breach", "en", facts())
    assert rendered.subject == "[N-1] Deadline missed: answer"
    assert "UndefinedError" in rendered.remark


@pytest.mark.parametrize("text", ["[clock", "clock = 7", '[clock]\nanswer = "\\q"'])
def test_words_that_cannot_be_read_give_way_and_every_notice_says_so(write: Write, text: str) -> None:
    folder = write("en/words.toml", text)
    with capture_logs() as logs:
        templates = Templates(folder)
    rendered = templates.render("breach", "en", facts())
    assert rendered.subject == "[N-1] Deadline missed: answer"
    assert rendered.remark.startswith("template en/words.toml does not work (")
    assert [entry["template"] for entry in logs] == ["en/words.toml"]
    assert templates.render("breach", "zh", facts()).remark == ""


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_digest_that_does_not_work_gives_way_too(write: Write, language: str) -> None:
    line: dict[str, Any] = {
        "id": "1f1f1f1f1f",
        "number": "N-1",
        "case_id": "complaint:C-1",
        "title": "T",
        "titles": ["T"],
        "due": AT,
    }
    line |= {"about": "", "waybill": "", "unit": None, "ack": None, "page": "", "outside": False}
    good = Templates().digest(language, [line, line], 2)
    broken = Templates(write(f"{language}/digest.txt", "{{ items | nothing }}")).digest(language, [line, line], 2)
    assert (broken.subject, broken.body) == (good.subject, good.body)
    assert (good.remark, "digest.txt does not work" in broken.remark) == ("", True)


async def test_the_notice_goes_out_and_its_record_says_which_template_failed(write: Write, tmp_path: Path) -> None:
    folder = write("zh/breach.txt", "{{ no_such_fact }}")
    (tmp_path / "contacts.toml").write_text('[roles.supervisor]\nemail = ["a@example.com", "b@example.com"]')
    async with MailServer().up() as mail:
        notifier = build_notifier(
            f"smtp://127.0.0.1:{mail.port}", None, tmp_path / "contacts.toml", "a@example.com", templates=folder
        )
        [result] = await Attempts(notifier).run(batch(order("breach", "supervisor")))
    assert (result.outcome, len(mail.mails)) == ("sent", 2)
    assert result.remarks == ["template zh/breach.txt does not work (UndefinedError); another one is used"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("policy", ["default", "cross_company"])
def test_every_notice_that_a_policy_names_has_a_template(policy: str, language: str) -> None:
    named = {route.name for route in Policies().load(policy).notice}
    there = {file.stem for file in (OWN / language).glob("*.txt")}
    assert named <= there


def test_every_template_is_there_in_both_languages() -> None:
    chinese, english = ({file.name for file in (OWN / language).glob("*")} for language in LANGUAGES)
    assert chinese == english
