"""Forms in files of their own, beside the policies of a folder, and what inheritance does with forms."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from activities.policies.store import BUILT_IN, Policies
from cases.vocabulary.refusals import Refused
from tests.core.support import default_policy

MINE = 'name = "mine"\nextends = "default"\n'
CAR = """
[form.car_hire]
title = "Car hire 用车申请"
clause = "INVENTED"
files = ["agent"]
[form.car_hire.fields]
days = { type = "integer", required = true }
[[form.car_hire.step]]
name = "approve"
roles = ["supervisor"]
[[form.car_hire.step]]
name = "hand_over"
roles = ["porter"]
[[notice]]
name = "sign"
on = ["signed"]
kinds = ["car_hire"]
to = ["supervisor"]
clause = "INVENTED"
"""
STEP = '[[form.car_hire.step]]\nname = "pay"\nroles = ["finance"]\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a policy, and a form beside it."""
    (tmp_path / "mine.toml").write_text(MINE, "utf-8")
    (tmp_path / "forms").mkdir()
    (tmp_path / "forms" / "car_hire.toml").write_text(CAR, "utf-8")
    return tmp_path


def steps(folder: Path, policy: str = "mine", form: str = "car_hire") -> list[str]:
    return [step.name for step in Policies(folder).load(policy).form[form].steps]


def test_a_folder_s_forms_belong_to_its_policies(folder: Path) -> None:
    policies = Policies(folder)
    mine = policies.load("mine")
    assert set(mine.form) == {*default_policy().form, "car_hire"}
    assert [route.name for route in mine.routes("car_hire", "signed")] == ["sign"]
    assert policies.names() == ["cross_company", "default", "mine"]
    # Other folders have nothing of it.
    assert "car_hire" not in policies.load("default").form
    # By its path, a policy has the forms beside it too.
    assert Policies().read(folder / "mine.toml").hash == mine.hash


def test_the_document_does_not_depend_on_which_file_a_form_stands_in(folder: Path) -> None:
    before = Policies(folder).load("mine").hash
    (folder / "forms" / "car_hire.toml").rename(folder / "forms" / "zz.toml")
    (folder / "forms" / "readme.md").write_text("not a form", "utf-8")
    assert Policies(folder).load("mine").hash == before
    (folder / "forms" / "zz.toml").unlink()
    assert "car_hire" not in Policies(folder).load("mine").form


def test_what_is_inherited_is_there_once(folder: Path) -> None:
    (folder / "other.toml").write_text('name = "other"\nextends = "mine"\n', "utf-8")
    assert steps(folder, "other") == ["approve", "hand_over"]
    assert steps(folder, "other", "leave") == ["superior"]
    # A default of one's own over the shipped one.
    (folder / "default.toml").write_text('name = "default"\nextends = "default"\n', "utf-8")
    assert steps(folder, "default") == steps(folder, "mine") == ["approve", "hand_over"]
    # A copy of the shipped folder, anywhere.
    copied = folder / "copy"
    copied.mkdir()
    shutil.copytree(Path(str(BUILT_IN)) / "forms", copied / "forms")
    for name in ("default", "cross_company"):
        shutil.copy(Path(str(BUILT_IN)) / f"{name}.toml", copied / f"{name}.toml")
        assert Policies().read(copied / f"{name}.toml").hash == Policies().load(name).hash


def test_a_form_that_changes_drops_its_steps_first(folder: Path) -> None:
    changed = folder / "changed.toml"
    head = 'name = "changed"\nextends = "mine"\n'
    changed.write_text(f"{head}{STEP}", "utf-8")
    assert steps(folder, "changed") == ["approve", "hand_over", "pay"]
    changed.write_text(f'{head}without = ["form.car_hire.step"]\n{STEP}', "utf-8")
    assert steps(folder, "changed") == ["pay"]
    changed.write_text(f'{head}without = ["form.car_hire.step.approve"]\n{STEP}', "utf-8")
    assert steps(folder, "changed") == ["hand_over", "pay"]
    changed.write_text(f'{head}without = ["form.car_hire", "notice.sign"]\n', "utf-8")
    assert "car_hire" not in Policies(folder).load("changed").form
    changed.write_text(f'{head}without = ["form.car_hire.step.fly"]\n', "utf-8")
    with pytest.raises(Refused, match=r"'form\.car_hire\.step\.fly' is not in the policy"):
        Policies(folder).load("changed")
    changed.write_text(head + STEP.replace("pay", "approve"), "utf-8")
    with pytest.raises(Refused, match=r"form\.car_hire\.step\.approve: two steps have this name"):
        Policies(folder).load("changed")


def test_a_shipped_form_is_replaced_by_a_file(folder: Path) -> None:
    (folder / "mine.toml").write_text(f'{MINE}without = ["form.leave"]\n', "utf-8")
    own = CAR.replace("car_hire", "leave").partition("[[notice]]")[0]
    (folder / "forms" / "leave.toml").write_text(own, "utf-8")
    assert steps(folder, form="leave") == ["approve", "hand_over"]


def test_with_a_form_go_the_notices_that_are_of_it_alone(folder: Path) -> None:
    both = '[[notice]]\nname = "both"\non = ["signed"]\nkinds = ["car_hire", "leave"]\nto = ["agent"]\nclause = "X"\n'
    (folder / "mine.toml").write_text(f"{MINE}{both}", "utf-8")
    less = folder / "less.toml"
    less.write_text('name = "less"\nextends = "mine"\nwithout = ["form.car_hire", "notice.both"]\n', "utf-8")
    found = Policies(folder).load("less")
    assert "car_hire" not in found.form
    assert found.notice == default_policy().notice
    # In whichever order, and named too.
    less.write_text('name = "less"\nextends = "mine"\nwithout = ["form.car_hire", "notice.both", "notice.sign"]\n')
    assert not [route for route in Policies(folder).load("less").notice if route.name == "sign"]


def test_two_steps_of_one_name_are_told_how_a_form_is_dropped(folder: Path) -> None:
    (folder / "forms" / "leave.toml").write_text((BUILT_IN / "forms" / "leave.toml").read_text("utf-8") + "#", "utf-8")
    with pytest.raises(Refused, match=r"two steps have this name; .* inherited .*: without = \['form\.leave'\]"):
        Policies(folder).load("mine")


def test_a_copy_of_a_form_that_is_dropped_takes_its_place(folder: Path) -> None:
    (folder / "forms" / "leave.toml").write_text((BUILT_IN / "forms" / "leave.toml").read_text("utf-8"), "utf-8")
    hashed = Policies(folder).load("mine").hash
    (folder / "mine.toml").write_text(f'{MINE}without = ["form.leave"]\n', "utf-8")
    assert Policies(folder).load("mine").hash == hashed


def test_a_form_is_declared_once_in_a_folder(folder: Path) -> None:
    (folder / "forms" / "taxi.toml").write_text(CAR.partition("[[notice]]")[0], "utf-8")
    with pytest.raises(Refused) as caught:
        Policies(folder).load("mine")
    assert caught.value.code == "bad_policy"
    twice = f"{folder / 'forms' / 'taxi.toml'}: policy: form.car_hire: car_hire.toml declares it too"
    assert twice in caught.value.message
    (folder / "forms" / "taxi.toml").unlink()
    (folder / "mine.toml").write_text(f"{MINE}{STEP}", "utf-8")
    with pytest.raises(Refused, match=r"car_hire\.toml: policy: form\.car_hire: mine\.toml declares it too"):
        Policies(folder).load("mine")


def test_forms_without_a_policy_beside_them_go_to_those_of_the_program(folder: Path) -> None:
    (folder / "mine.toml").unlink()
    for name in ("default", "cross_company"):
        assert Policies(folder).load(name).form.keys() == {*Policies().load(name).form, "car_hire"}
    (folder / "forms" / "again.toml").write_text(
        (folder / "forms" / "car_hire.toml").read_text("utf-8") + "\n", "utf-8"
    )
    with pytest.raises(Refused, match=r"car_hire\.toml: policy: form\.car_hire: again\.toml declares it too"):
        Policies(folder).load("default")
    # A folder of forms without any is none.
    for file in (folder / "forms").iterdir():
        file.unlink()
    assert Policies(folder).load("default").hash == default_policy().hash


def test_a_file_of_forms_is_no_policy(folder: Path) -> None:
    file = folder / "forms" / "car_hire.toml"
    for policies in (Policies(), Policies(folder)):
        with pytest.raises(Refused) as caught:
            policies.read(file)
        assert caught.value.code == "bad_policy"
        assert f"{file}: policy: it is a file of forms, and no policy" in caught.value.message
        assert "check that policy" in caught.value.message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ('zone = "Asia/Shanghai"\n' + CAR, ["zone: a file of forms holds only"]),
        ("name = 'x'\n" + CAR, ["name: a file of forms holds only"]),
        ("[complaint]\nfollow_ups = 3\n" + CAR, ["complaint: a file of forms holds only"]),
        (MINE + CAR, ["name: a file of forms"]),
        ("", ["form: a file of forms holds tables [form.NAME]"]),
        ("form = 3\n", ["form: a file of forms holds tables [form.NAME]"]),
        ("[form]\ncar_hire = 3\n", ["form: a file of forms holds tables [form.NAME]"]),
        (CAR.replace('kinds = ["car_hire"]', 'kinds = ["claim"]'), ["notice.sign.kinds = ['claim']", "car_hire"]),
        (CAR.replace('kinds = ["car_hire"]', ""), ["notice.sign.kinds = None", "allowed here: car_hire"]),
        ("notice = 3\n" + CAR.partition("[[notice]]")[0], ["notice.None.kinds"]),
        ("[form.car_hire\n", ["not TOML"]),
        ("[form]\n", ["form: a file of forms holds tables [form.NAME]"]),
        (CAR + "\n[form.other]\nretain_years = 1" + "0" * 5000, ["not TOML", "4300 digits"]),
        (CAR + "\n[form.other]\nretain_years = 0x" + "f" * 17, ["not TOML", "beyond 64 bits"]),
        (CAR + '\n[form.other]\nclause = "a\\u0000"', ["not TOML", "a text holds NUL"]),
        (CAR + "\n[form.other" + ".a" * 30_000 + "]", ["line ", "more than 200 dots"]),
        (CAR.replace('name = "sign"', "name = [1]"), ["notice.name = [1]: it is a text"]),
        (CAR.replace('kinds = ["car_hire"]', 'kinds = [["car_hire"]]'), ["notice.sign.kinds", "car_hire"]),
    ],
)
def test_a_wrong_file_of_forms_is_named(folder: Path, text: str, parts: list[str]) -> None:
    (folder / "forms" / "car_hire.toml").write_text(text, "utf-8")
    with pytest.raises(Refused) as caught:
        Policies(folder).load("mine")
    assert caught.value.code == "bad_policy"
    for part in (str(folder / "forms" / "car_hire.toml"), "policy: ", *parts):
        assert part in caught.value.message


def test_what_a_form_says_wrong_is_named_by_its_key_path(folder: Path) -> None:
    (folder / "forms" / "car_hire.toml").write_text(CAR.replace('["supervisor"]\n[[form', '["boss"]\n[[form'), "utf-8")
    with pytest.raises(Refused) as caught:
        Policies(folder).load("mine")
    assert f"{folder / 'mine.toml'}: policy: form.car_hire.step.approve.roles = 'boss' is not a role" in (
        caught.value.message
    )


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "forms" / "car_hire.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Refused, match="cannot be read"):
        Policies(folder).load("mine")


def test_two_policies_that_extend_each_other_have_no_forms(folder: Path) -> None:
    (folder / "mine.toml").write_text(MINE.replace('"default"', '"other"'), "utf-8")
    (folder / "other.toml").write_text('name = "other"\nextends = "mine"\n', "utf-8")
    with pytest.raises(Refused, match="extends = 'mine': it extends itself"):
        Policies(folder).load("mine")
