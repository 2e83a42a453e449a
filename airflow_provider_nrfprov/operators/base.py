"""What all operators and sensors share: their arguments, their connection, their retry policy."""

from __future__ import annotations

import errno
import inspect
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_nrfprov.arguments import (
    Argument,
    ArgumentError,
    Arguments,
    check_leaves,
    ids,
    is_constant,
    path,
    text,
)
from airflow_provider_nrfprov.hooks.metrics import flushed_at_the_end
from airflow_provider_nrfprov.retries import DEFAULT_RETRY_POLICY
from airflow_provider_nrfprov.version_compat import AIRFLOW_V_3_3_PLUS

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook

_OF_A_PATH = {
    errno.EACCES, errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EPERM,
    errno.EROFS,
}  # fmt: skip
"""What the system says of a path that cannot be used, and not of a disk or a network."""
SECONDS_ON_WORKER = 6.5
"""How many seconds a worker polls bulk operations before it defers: most end within seconds, and a deferral takes longer."""
SECRET_MARKS = ("2dn3", "PRIVATE KEY-----")
"""What a claim token begins with, and what a private key in PEM has in its first line."""


class ArgumentReadingOperator(BaseOperator):
    """The base of all operators and sensors of this provider. Not for use in DAGs.

    Each argument is in ``arguments``, and so a template field of its own name, or in ``secret_arguments``: those are no template
    fields, so that no view shows them, and are rendered by the operator itself. Every argument may be a template, or another
    task's output, which then is upstream. A class writes down its own arguments, those of its bases are added; the docstring of one
    that is used in DAGs describes all of them.

    :param retry_policy: which failures are worth another try (Airflow 3.3 and later); ``None`` for Airflow's own rule.
    """

    arguments: ClassVar[Arguments] = {}
    secret_arguments: ClassVar[Arguments] = {}
    xcoms: ClassVar[Mapping[str, str]] = {}
    """What is pushed to XCom beside the return value: key to what it holds. The reference is made from it."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Add what is the bases', let arguments be template fields, and each way into a task end in its metrics being sent."""
        super().__init_subclass__(**kwargs)
        if "arguments" in vars(cls):
            own, inherited = cls.arguments, super(cls, cls).arguments  # type: ignore[misc]
            cls.arguments = {**own, **{name: inherited[name] for name in inherited if name not in own}}
            cls.template_fields = tuple(cls.arguments)
        for name in ("execute", "execute_complete"):
            if name in vars(cls):
                setattr(cls, name, flushed_at_the_end(vars(cls)[name]))

    def __init__(self, *, retry_policy: Any = DEFAULT_RETRY_POLICY, **kwargs: Any) -> None:
        if AIRFLOW_V_3_3_PLUS:
            kwargs["retry_policy"] = retry_policy
        super().__init__(**kwargs)
        self._written: frozenset[str] = frozenset()

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Begin a mapped task: as Airflow's own, but constants are checked, and secret arguments have their upstream."""
        cls._check_mapped(kwargs)
        return _Partial(super().partial(**kwargs), cls)

    def _check_constants(self) -> None:
        """Check what is known when the operator is made; to be called at the end of each ``__init__`` that is a last one.

        :raises ArgumentError: naming the argument and the task.
        """
        written = set()
        for name, argument in {**self.arguments, **self.secret_arguments}.items():
            value = getattr(self, name)
            if isinstance(value, os.PathLike) and argument.read in {path, ids}:
                # An older Airflow takes pathlib's resolve() for that of an XComArg.
                value = argument.read(value)
                setattr(self, name, value)
            if is_constant(value):
                written.add(name)
                self._checked(name, argument, value, written=True)
        self._written = frozenset(written)
        if not self._is_mapped_instance():
            for name in self.secret_arguments:
                _set_upstream(self, getattr(self, name))

    def _value(self, name: str) -> Any:
        """Return the value of an argument, rendered and read.

        :raises ArgumentError: naming the argument and the task, if it is empty or of another kind.
        """
        return self._checked(name, self.arguments[name], getattr(self, name), written=self._is_written(name))

    def _values(self) -> dict[str, Any]:
        """Return the values of all arguments but the secret ones: before anything is done, all of them are found good.

        :raises ArgumentError: as :meth:`_value`.
        """
        return {name: self._value(name) for name in self.arguments}

    def _secret_value(self, name: str, context: Context) -> Any:
        """Render and read a secret argument.

        :raises ArgumentError: naming the argument and the task, never what it is.
        """
        template = getattr(self, name)
        value = self.render_template(template, context)
        with self._naming(name):
            check_leaves(template, value)
        return self._checked(name, self.secret_arguments[name], value, written=self._is_written(name))

    def _is_written(self, name: str) -> bool:
        """Whether the DAG's author wrote an argument as it is, or left it out."""
        if name not in self._written:
            return False
        mapped: Any = None
        if self._is_mapped_instance() and self.has_dag():  # type: ignore[no-untyped-call]
            mapped = self.dag.task_dict.get(self.task_id)
        if mapped is None or name in mapped.partial_kwargs:
            return True
        # What came through ``expand`` is another task's, or represents it.
        return name not in getattr(self, "_BaseOperator__init_kwargs", {})

    def _is_mapped_instance(self) -> bool:
        return bool(getattr(self, "_BaseOperator__from_mapped", False))

    def _checked(self, name: str, argument: Argument[Any], value: Any, *, written: bool) -> Any:
        with self._naming(name):
            return argument(value, written=written, has_default=self._has_default(name))

    @classmethod
    def _has_default(cls, name: str) -> bool:
        """Whether an argument may be left out, as the nearest ``__init__`` that has it says."""
        for each in cls.__mro__:
            made_by = vars(each).get("__init__")
            parameter = inspect.signature(made_by).parameters.get(name) if made_by else None
            if parameter is not None:
                return parameter.default is not inspect.Parameter.empty
        return True

    @contextmanager
    def _naming(self, name: str, what: str = "") -> Iterator[None]:
        """Name argument and task in what is wrong with a value, before words that say ``what`` it is."""
        try:
            yield
        except ArgumentError:
            raise
        except ValueError as error:
            raise ArgumentError(f"{name} of task {self.task_id!r} {what}{error}") from None

    @contextmanager
    def _naming_path(self, name: str, where: object, advice: str) -> Iterator[None]:
        """Name argument, task and path in the system's error of a path, whose class it keeps, and say what to do."""
        try:
            yield
        except OSError as error:
            if error.errno not in _OF_A_PATH:
                raise
            message = f"{name} of task {self.task_id!r} is {where}, which cannot be used: {error.strerror}; {advice}"
            raise OSError(error.errno, message, error.filename) from error

    @classmethod
    def _check_mapped(cls, given: Mapping[str, Any], *, each: bool = False) -> None:
        """Check the constants of a mapped task, which are not looked at before it runs otherwise.

        :param each: whether they are lists of them, for ``expand``.
        :raises ArgumentError: naming the argument.
        """
        for name, argument in {**cls.arguments, **cls.secret_arguments}.items():
            if name not in given or not is_constant(given[name]):
                continue
            for value in _items(given[name]) if each else (given[name],):
                if name in cls.secret_arguments and _holds_secret(value):
                    raise ArgumentError(
                        f"{name} of a mapped {cls.__name__} holds a claim token or a private key, which the serialized "
                        "DAG would contain: take it from another task, a variable or a param"
                    )
                try:
                    argument(value, written=not each, has_default=cls._has_default(name))
                except ValueError as error:
                    raise ArgumentError(f"{name} of a mapped {cls.__name__} {error}") from None


class ConnectedOperator(ArgumentReadingOperator):
    """The base of those that use a connection. Not for use in DAGs."""

    arguments: ClassVar[Arguments] = {"nrfprov_conn_id": Argument(text)}
    # A client holds locks, and Airflow copies operators.
    shallow_copy_attrs: Sequence[str] = ("hook",)

    def __init__(self, *, nrfprov_conn_id: str = "nrfprov_default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.nrfprov_conn_id = nrfprov_conn_id

    @cached_property
    def hook(self) -> NrfProvHook:
        """The hook that the task uses."""
        from airflow_provider_nrfprov.hooks.nrfprov import NrfProvHook

        return NrfProvHook(self._value("nrfprov_conn_id"))


WRITABLE = "name a folder that the worker may make and write to"
READABLE = "check the path, as the worker sees it"


def push(operator: Any, context: Mapping[str, Any], **values: Any) -> None:
    """Push XComs, each by its key, so that ``claim.output["report"]`` works; none if the task is to push none.

    A None is not pushed: who pulls it gets None all the same, and Airflow 3.0 answers 422, which fails the task.
    """
    if operator.do_xcom_push:
        for key, value in values.items():
            if value is not None:
                context["ti"].xcom_push(key=key, value=value)


def task_of(context: Mapping[str, Any], operator: Any) -> dict[str, Any]:
    """Return what names a running task: ``dag_id``, ``run_id``, ``task_id``, and ``map_index``, -1 if it is not mapped."""
    map_index = getattr(context.get("ti"), "map_index", -1)
    return {
        "dag_id": operator.dag_id,
        "run_id": str(context.get("run_id", "")),
        "task_id": operator.task_id,
        "map_index": -1 if map_index is None else map_index,
    }


class _Partial:
    """Airflow's partial operator, and what it leaves out."""

    def __init__(self, partial: Any, operator_class: type[ArgumentReadingOperator]) -> None:
        self._partial = partial
        self._operator_class = operator_class

    def expand(self, **kwargs: Any) -> Any:
        """Map over lists; see Airflow's ``OperatorPartial.expand``."""
        self._operator_class._check_mapped(kwargs, each=True)
        return self._with_upstream(self._partial.expand(**kwargs))

    def expand_kwargs(self, kwargs: Any, **options: Any) -> Any:
        """Map over dictionaries of arguments; see Airflow's ``OperatorPartial.expand_kwargs``."""
        if isinstance(kwargs, (list, tuple)):
            for each in kwargs:
                if isinstance(each, Mapping):
                    self._operator_class._check_mapped(
                        {name: [value] for name, value in each.items()}, each=True
                    )
        return self._with_upstream(self._partial.expand_kwargs(kwargs, **options))

    def _with_upstream(self, mapped: Any) -> Any:
        for name in self._operator_class.secret_arguments:
            _set_upstream(mapped, self._partial.kwargs.get(name))
        return mapped


def _set_upstream(task: Any, value: Any) -> None:
    """Let a task run after those whose output is in a value."""
    if is_constant(value):
        return
    from airflow.providers.common.compat.sdk import XComArg

    XComArg.apply_upstream_relationship(task, value)


def _holds_secret(value: Any) -> bool:
    if isinstance(value, str):
        return any(mark in value for mark in SECRET_MARKS)
    if isinstance(value, Mapping):
        return any(_holds_secret(item) for item in value.values())
    return isinstance(value, (list, tuple)) and any(_holds_secret(item) for item in value)


def _items(values: Any) -> Iterable[Any]:
    return values.values() if isinstance(values, Mapping) else values
