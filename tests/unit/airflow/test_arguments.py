"""Every argument of every operator and sensor, given everything that people give: the right meaning, or an error that
names it, before anything is asked of the service.

``KINDS`` has an answer for each argument: one that has none fails here. ``ANSWERS`` says what each kind makes of each value, as what it is
and as the text that a template makes of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, XComArg

from airflow_provider_nrfprov.arguments import ArgumentError
from airflow_provider_nrfprov.exceptions import UnclaimRefusedError
from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook
from airflow_provider_nrfprov.operators.tags import NrfProvEnsureTagsOperator
from tests.unit.airflow.every_argument import operators_and_sensors, public, required, signature

ONE, OTHER = "4961c873-408c-45ce-b1ba-7c0d99d88179", "00000000-0000-4000-8000-000000000001"
ERROR = "an error"
LOCAL = "/factory/shift 1"

VALUES: dict[str, Any] = {
    "None": None,
    "text of None": "None",
    "null": "null",
    "nan": "nan",
    "undefined": "undefined",
    "empty dictionary": {},
    "text of an empty dictionary": "{}",
    "empty list": [],
    "empty": "",
    "blank": " ",
    "zero": 0,
    "seven": 7,
    "nested": [[ONE], [OTHER]],
    "Path": Path(LOCAL),
    "ObjectStoragePath": ObjectStoragePath(f"file://{LOCAL}"),
    "timedelta": timedelta(hours=1),
}
REFUSED = dict.fromkeys(VALUES, (ERROR, ERROR))
_PATH = {"Path": (LOCAL, LOCAL), "ObjectStoragePath": (LOCAL, f"file://{LOCAL}")}
_PATH_AS_TEXT = {"Path": (ERROR, LOCAL), "ObjectStoragePath": (ERROR, f"file://{LOCAL}")}
_AS_LIST = {key: (ERROR, [text]) for key, (_, text) in _PATH_AS_TEXT.items()}

ANSWERS: dict[str, dict[str, tuple[Any, Any]]] = {
    "text": {
        **REFUSED, **_PATH_AS_TEXT,
        "zero": ("0", "0"), "seven": ("7", "7"), "timedelta": (ERROR, "1:00:00"),
    },
    "path": {
        **REFUSED, **_PATH,
        "zero": ("0", "0"), "seven": ("7", "7"), "timedelta": (ERROR, "1:00:00"),
    },
    "tags": {
        **REFUSED, **_AS_LIST, "empty list": ([], []),
        "zero": (["0"], ["0"]), "seven": (["7"], ["7"]), "nested": ([ONE, OTHER], [ONE, OTHER]),
        "timedelta": (ERROR, ["1:00:00"]),
    },
    "ids": {
        **REFUSED, "empty list": ([], []), "zero": (["0"], ["0"]), "seven": (["7"], ["7"]), "nested": ([ONE, OTHER], [ONE, OTHER]),
        "Path": ([LOCAL], [LOCAL]), "ObjectStoragePath": ([LOCAL], [f"file://{LOCAL}"]), "timedelta": (ERROR, ["1:00:00"]),
    },
    "device ids": {**REFUSED, "empty list": ([], []), "nested": ([ONE, OTHER], [ONE, OTHER])},
    "count": {**REFUSED, "zero": (0, 0), "seven": (7, 7)},
    "count from 1": {**REFUSED, "seven": (7, 7)},
    "ratio": {**REFUSED, "zero": (0.0, 0.0)},
    "duration": {**REFUSED, "zero": (0.0, 0.0), "seven": (7.0, 7.0), "timedelta": (3600.0, 3600.0)},
    "interval": {**REFUSED, "seven": (7.0, 7.0), "timedelta": (3600.0, 3600.0)},
    "flag": {**REFUSED, "zero": (False, False)},
    "certificates": REFUSED,
    "choice": REFUSED,
    "moment": REFUSED,
    "fields": REFUSED,
    # What is no token is found out when it is decoded, still before anything is sent.
    "secret text": {
        **REFUSED, **_PATH_AS_TEXT, "zero": (ERROR, "0"), "seven": (ERROR, "7"),
        "nested": (ERROR, str(VALUES["nested"])), "timedelta": (ERROR, "1:00:00"),
    },
}  # fmt: skip

ARGUMENTS_OF_KIND = {
    "certificates": ["certificates"],
    "choice": ["mode", "on_invalid_rows"],
    "count": ["dry_run_rows", "max_failed_devices", "max_failed_rows", "max_rejected_rows", "sec_tag"],
    "count from 1": ["limit", "max_devices", "max_in_flight", "rows_per_request"],
    "device ids": ["device_ids"],
    "duration": ["timeout"],
    "fields": ["columns", "request", "summary"],
    "flag": [
        "allow_failed",
        "check_only",
        "create_tags",
        "deferrable",
        "from_devices",
        "wait_for_completion",
    ],
    "ids": ["bulk_ops_request_ids"],
    "interval": ["poll_interval"],
    "moment": ["claimed_after", "requested_after", "requested_before"],
    "path": ["claim_file", "device_file", "output_path", "report", "report_dir"],
    "ratio": ["max_failed_ratio", "max_rejected_ratio"],
    "secret text": ["claim_token"],
    "tags": ["tags"],
    "text": [
        "bulk_ops_request_id",
        "command_id",
        "description",
        "device_id",
        "job",
        "new_tag",
        "nrfprov_conn_id",
        "status",
        "tag",
    ],
}
KINDS = {argument: kind for kind, arguments in ARGUMENTS_OF_KIND.items() for argument in arguments}
OF_ONE_CLASS = {("NrfProvListBulkOpsOperator", "status"): "choice"}
NOT_OF_A_TEMPLATE = {"retry_policy", "poke_interval"}
"""The first is an object of Airflow's own kind; of the second Airflow itself takes constants only."""
LISTS = {"tags", "ids", "device ids"}
NONE_MEANS_SOMETHING = {
    "certificates", "claimed_after", "columns", "device_file", "device_ids", "job", "max_failed_devices", "max_failed_ratio",
    "max_failed_rows", "max_rejected_ratio", "max_rejected_rows", "output_path", "report", "report_dir",
    "requested_after", "requested_before", "status", "tag",
}  # fmt: skip
"""Where its author writes it, and only where the default is ``None`` or the docstring says what it means."""

NONE_OF_ONE_CLASS = {
    ("NrfProvBlockDevicesOperator", "max_devices"),
    ("NrfProvUnblockDevicesOperator", "max_devices"),
    ("NrfProvRenameTagOperator", "description"),
}

CLASSES = operators_and_sensors()
CELLS = [(name, argument) for name, kind in CLASSES.items() for argument in signature(kind)]
ARGUMENTS = [(name, argument) for name, argument in CELLS if argument not in NOT_OF_A_TEMPLATE]
every_argument = pytest.mark.parametrize(("name", "argument"), ARGUMENTS)


RESOLVED = XComArg.__mro__[1]
"""What Airflow resolves when it renders: it goes by the class, which each version has elsewhere."""
assert RESOLVED.__name__ == "ResolveMixin"


class Lazy(Sequence):
    """What Airflow gives for the output of mapped tasks: a sequence of its own class."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)


class AskedError(Exception):
    """The service would have been asked."""


@pytest.fixture(autouse=True)
def nobody_is_asked(monkeypatch):
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AskedError

    monkeypatch.setattr(NrfProvHook, "get_conn", refuse)


def kind_of(name: str, argument: str) -> str:
    return OF_ONE_CLASS.get((name, argument)) or KINDS[argument]


def context_of(pulled: Any = None, **params: Any) -> dict[str, Any]:
    ti = SimpleNamespace(
        xcom_pull=lambda **_: pulled,
        xcom_push=lambda key, value: None,
        # Airflow 2 asks for it, and for the count below, when it renders the output of a task.
        get_relevant_upstream_map_indexes=lambda *_, **__: None,
        map_index=-1,
        dag_id="d",
        task_id="t",
    )
    return {"ti": ti, "task_instance": ti, "run_id": "run", "params": params, "expanded_ti_count": None}


def read(operator: Any, argument: str, context: dict[str, Any]) -> Any:
    if argument in operator.secret_arguments:
        return operator._secret_value(argument, context)
    return operator._value(argument)


def outcome(make: Callable[[], tuple[Any, dict[str, Any]]], argument: str) -> Any:
    """Return what the argument is read as, or that it is an error: one that names it, and before anybody is asked."""
    try:
        operator, context = make()
    except ArgumentError as error:
        return named(error, argument)
    # Airflow 3.4 asks whether this task may read what another gave: it has loops of tasks.
    context["ti"].task = operator
    operator.render_template_fields(context)
    try:
        return read(operator, argument, context)
    except ArgumentError as error:
        # The whole task ends so, too, and does not ask first.
        with pytest.raises((ArgumentError, UnclaimRefusedError)):
            operator.execute(context)
        return named(error, argument)


def named(error: ArgumentError, argument: str) -> str:
    return (
        ERROR
        if str(error).startswith(f"{argument} ")
        else f"an error that does not begin with the name: {error}"
    )


def of_another(name: str, argument: str, pulled: Any, *, mapped: bool = False) -> Callable[[], Any]:
    """Return what makes a task, one of whose arguments another task gives, and its context."""

    def make() -> Any:
        with DAG("arguments", schedule=None):
            upstream = NrfProvEnsureTagsOperator(task_id="upstream", tags=["x"])
            output = Mapped(upstream, pulled) if mapped else upstream.output
            task = CLASSES[name](task_id="t", **{**required(CLASSES[name]), argument: output})
        return task, context_of(pulled)

    return make


def ways(name: str, argument: str, value: Any) -> Iterator[tuple[str, Any, Callable[[], Any]]]:
    """Yield the ways in which a value comes to an argument: their names, what arrives, and what makes the task and its context."""
    kind = CLASSES[name]
    others = {key: good for key, good in required(kind).items() if key != argument}

    def task(given: Any, *, native: bool = False, **context: Any) -> Callable[[], Any]:
        def make() -> Any:
            with DAG("arguments", schedule=None, render_template_as_native_obj=native):
                return kind(task_id="t", **others, **{argument: given}), context_of(**context)

        return make

    def expanded() -> Any:
        with DAG("arguments", schedule=None):
            upstream = NrfProvEnsureTagsOperator(task_id="upstream", tags=["x"])
            mapped = kind.partial(task_id="t", **others).expand(**{argument: upstream.output})
        return mapped.unmap({argument: value}), context_of()

    yield "written", value, task(value)
    yield "rendered", str(value), task("{{ params.value }}", value=value)
    yield "rendered native", value, task("{{ params.value }}", native=True, value=value)
    yield "of a task", value, of_another(name, argument, value)
    yield "of mapped tasks", Lazy([value]), of_another(name, argument, Lazy([value]), mapped=True)
    yield "expanded", value, expanded


class Mapped(RESOLVED):
    """The output of mapped tasks, as far as rendering asks: Airflow's own would ask its database."""

    def __init__(self, operator: Any, pulled: Any) -> None:
        self._operator = operator
        self._pulled = pulled

    def iter_references(self) -> Iterator[tuple[Any, str]]:
        yield self._operator, "return_value"

    def resolve(self, context: Any, **_: Any) -> Any:
        return self._pulled


def expected(name: str, argument: str, label: str, way: str) -> Any:
    raw, as_text = ANSWERS[kind_of(name, argument)][label]
    if way == "written" and label == "None" and none_is_allowed(name, argument):
        return None
    if way == "written" and label == "empty" and argument == "description":
        return ""
    if way == "rendered":
        return as_text
    if way == "of mapped tasks":
        # Only a list is many; what a task gave that is itself none is an item that is none.
        kind = kind_of(name, argument)
        in_a_list = kind in LISTS and not label.endswith("Path")
        return raw if in_a_list else ERROR
    # What cannot be written as text comes as what it is.
    return raw


def none_is_allowed(name: str, argument: str) -> bool:
    return (argument in NONE_MEANS_SOMETHING and argument not in required(CLASSES[name])) or (
        name,
        argument,
    ) in NONE_OF_ONE_CLASS


def test_every_argument_has_an_answer_and_every_answer_an_argument():
    arguments = {argument for _, argument in CELLS} - NOT_OF_A_TEMPLATE
    assert arguments == set(KINDS), arguments ^ set(KINDS)
    assert all(set(answers) == set(VALUES) for answers in ANSWERS.values())


@pytest.mark.parametrize("name", CLASSES)
def test_every_argument_is_a_template_field_of_its_own_name_or_a_secret(name):
    kind = CLASSES[name]
    arguments = set(signature(kind)) - NOT_OF_A_TEMPLATE
    assert set(kind.template_fields) == set(kind.arguments)
    assert set(kind.arguments) | set(kind.secret_arguments) == arguments
    assert not set(kind.arguments) & set(kind.secret_arguments)


@pytest.mark.parametrize("name", CLASSES)
def test_no_argument_has_the_name_of_something_else_of_an_operator(name):
    from airflow.providers.common.compat.sdk import BaseOperator

    taken = {each for each in dir(BaseOperator) if not each.startswith("_")}
    assert not (set(signature(CLASSES[name])) - NOT_OF_A_TEMPLATE) & taken


@pytest.mark.parametrize("name", CLASSES)
def test_the_docstring_of_a_class_has_every_argument(name):
    kind = CLASSES[name]
    for argument in set(signature(kind)) - NOT_OF_A_TEMPLATE:
        assert f":param {argument}:" in kind.__doc__, argument


@every_argument
def test_a_value_has_its_meaning_or_is_an_error_before_anybody_is_asked(name, argument):
    wrong = {}
    for label, value in VALUES.items():
        for way, _, make in ways(name, argument, value):
            if way in {"of mapped tasks"} and label == "nested":
                continue  # lists of lists of lists are no more than these
            found, right = outcome(make, argument), expected(name, argument, label, way)
            if (found, type(found)) != (right, type(right)):
                wrong[label, way] = (found, right)
    assert not wrong


@every_argument
def test_who_gives_nothing_is_told_to_leave_it_out_only_if_that_can_be_done(name, argument):
    with pytest.raises(ArgumentError) as caught, DAG("arguments", schedule=None):
        CLASSES[name](task_id="t", **{**required(CLASSES[name]), argument: "null"})
    has_default = argument not in required(CLASSES[name])
    assert str(caught.value).startswith(f"{argument} of task 't' is empty ")
    assert ("leave it out" in str(caught.value)) is has_default
    assert ("it has no default" in str(caught.value)) is not has_default


@every_argument
def test_the_output_of_tasks_that_were_skipped_is_an_error(name, argument):
    for pulled in (None, Lazy([])):
        make = of_another(name, argument, pulled, mapped=pulled is not None)
        assert outcome(make, argument) is ERROR


@every_argument
@pytest.mark.parametrize("mapped", [False, True])
def test_the_task_whose_output_an_argument_is_runs_before(name, argument, mapped):
    kind = CLASSES[name]
    others = {key: good for key, good in required(kind).items() if key != argument}
    with DAG("arguments", schedule=None):
        upstream = NrfProvEnsureTagsOperator(task_id="upstream", tags=["x"])
        given = {
            argument: {"kind": [{"content": upstream.output}]} if argument == "request" else upstream.output
        }
        if mapped:
            something = next(key for key in signature(kind) if key not in {argument, *NOT_OF_A_TEMPLATE})
            others.pop(something, None)
            first = NrfProvEnsureTagsOperator(task_id="first", tags=["x"])
            task = kind.partial(task_id="t", **others, **given).expand(**{something: first.output})
            assert task.upstream_task_ids == {"upstream", "first"}
        else:
            assert kind(task_id="t", **others, **given).upstream_task_ids == {"upstream"}


@pytest.mark.parametrize("name", [name for name, argument in CELLS if argument == "poke_interval"])
@pytest.mark.parametrize("label", VALUES)
def test_an_interval_of_a_sensor_is_a_constant(name, label):
    def sensor(interval: Any) -> Any:
        return CLASSES[name](task_id="t", **required(CLASSES[name]), poke_interval=interval)

    raw, _ = ANSWERS["interval"][label]
    if raw is not ERROR:
        assert sensor(VALUES[label]).poke_interval == raw
    for wrong in ([VALUES[label]] if raw is ERROR else []) + ["{{ params.interval }}"]:
        with pytest.raises(ArgumentError, match=r"^poke_interval of task 't' "):
            sensor(wrong)


OF_TRIGGERS = {
    "NrfProvClaimFileTrigger": {"folder": "path", "pattern": "text", "poll_interval": "interval"},
    # Made by operators and sensors only, of what these have read.
    "NrfProvBulkOpsTrigger": None,
    "NrfProvCommandTrigger": None,
}


def test_every_trigger_has_an_answer_for_each_of_its_arguments():
    triggers = public("triggers")
    assert set(triggers) == set(OF_TRIGGERS)
    for name, kinds in OF_TRIGGERS.items():
        if kinds is not None:
            assert set(inspect.signature(triggers[name].__init__).parameters) - {"self"} == set(kinds)


@pytest.mark.parametrize("label", VALUES)
@pytest.mark.parametrize("argument", ["folder", "pattern", "poll_interval"])
def test_an_argument_of_the_trigger_for_files_has_its_meaning_or_is_an_error(argument, label):
    name = "NrfProvClaimFileTrigger"
    raw, _ = ANSWERS[OF_TRIGGERS[name][argument]][label]
    arguments = {"folder": "/factory", argument: VALUES[label]}
    if raw is ERROR:
        with pytest.raises(ArgumentError, match=f"^{argument} of {name} "):
            public("triggers")[name](**arguments)
    else:
        assert getattr(public("triggers")[name](**arguments), argument) == raw


def test_the_matrix_is_not_empty_by_mistake():
    assert len(CLASSES) >= 20
    assert len(ARGUMENTS) >= 100
