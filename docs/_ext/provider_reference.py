"""Directives that write the reference from the code, so that it says what the code does and leaves nothing out."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes  # type: ignore[import-untyped,unused-ignore]
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from airflow_provider_nrfprov.arguments import ArgumentError
from airflow_provider_nrfprov.get_provider_info import get_provider_info

PACKAGE = "airflow_provider_nrfprov"
# Not any word: a line of text may begin with :class:.
_FIELD = re.compile(r"^:(param|return|raises)(?: (\w+))?: ?", re.MULTILINE)


def classes_in(*modules: str) -> list[type]:
    """Return the classes that modules themselves define, in their order."""
    every = [(name, each) for name in modules for each in vars(importlib.import_module(name)).values()]
    return [each for name, each in every if inspect.isclass(each) and each.__module__ == name]


def public_classes(kind: str) -> list[type]:
    """Return the classes of a kind (``operators``, ``sensors``, ``triggers``) that the provider's metadata lead to."""
    (entry,) = get_provider_info()[kind]
    return [each for each in classes_in(*entry["python-modules"]) if each.__name__.startswith("NrfProv")]


def arguments_of(kind: type) -> dict[str, inspect.Parameter]:
    """Return the arguments that a class and its bases in this package take: those without a default first."""
    found: dict[str, inspect.Parameter] = {}
    for each in inspect.getmro(kind):
        if each.__module__.partition(".")[0] == PACKAGE and "__init__" in vars(each):
            for name, parameter in inspect.signature(vars(each)["__init__"]).parameters.items():
                if name != "self" and parameter.kind is not parameter.VAR_KEYWORD:
                    found.setdefault(name, parameter)
    return dict(sorted(found.items(), key=lambda item: item[1].default is not inspect.Parameter.empty))


def fields_of(docstring: str) -> tuple[str, list[tuple[str, str, str]]]:
    """Split a docstring into its text and its fields: kind, name, words."""
    marks = list(_FIELD.finditer(docstring))
    ends = [mark.start() for mark in marks[1:]] + [len(docstring)] * bool(marks)
    text = docstring[: marks[0].start()] if marks else docstring
    return text.strip(), [
        (mark[1], mark[2] or "", " ".join(docstring[mark.end() : end].split()))
        for mark, end in zip(marks, ends, strict=True)
    ]


def words_of_arguments(kind: type) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of each argument."""
    found: dict[str, str] = {}
    for each in inspect.getmro(kind):
        if each.__module__.partition(".")[0] == PACKAGE:
            for field, name, words in fields_of(inspect.getdoc(each) or "")[1]:
                if field == "param":
                    found.setdefault(name, words)
    return found


def shown_default(parameter: inspect.Parameter) -> str:
    """Return a default as one would write it."""
    if parameter.name == "deferrable":
        return "``[operators] default_deferrable``"
    if parameter.name == "retry_policy":
        return "``NrfProvRetryPolicy()``"
    return f"``{parameter.default!r}``"


def class_lines(kind: type) -> Iterator[str]:
    """Yield the reStructuredText that describes a class.

    :raises LookupError: if an argument is not described.
    """
    text, fields = fields_of(inspect.getdoc(kind) or "")
    arguments, words = arguments_of(kind), words_of_arguments(kind)
    if unknown := arguments.keys() - words.keys():
        raise LookupError(f"{kind.__name__}: no docstring describes {', '.join(sorted(unknown))}")
    yield from (kind.__name__, "-" * len(kind.__name__), "")
    yield from (
        f".. py:class:: {kind.__name__}({', '.join(arguments)})",
        f"   :module: {kind.__module__}",
        "",
    )
    yield from ("   .. code-block:: python", "", f"      from {kind.__module__} import {kind.__name__}", "")
    yield from (f"   {line}" for line in text.splitlines())
    yield ""
    for name, parameter in arguments.items():
        required = parameter.default is inspect.Parameter.empty
        default = "**Required.**" if required else f"Default: {shown_default(parameter)}."
        # As text: a link for each `str` would hide the words.
        yield f"   :param {name}: ``{parameter.annotation}``. {default} {words[name][:1].upper()}{words[name][1:]}"
    for field, name, said in fields:
        if field != "param":
            yield f"   :{field}{f' {name}' if name else ''}: {said}"
    yield from ("", *xcom_lines(kind), "")


def xcom_lines(kind: type) -> Iterator[str]:
    """Yield the table of what a class pushes to XCom by key, beside its return value."""
    xcoms: dict[str, str] = dict(getattr(kind, "xcoms", {}))
    if xcoms:
        yield from ("   .. list-table:: XComs, beside ``return_value``", "      :widths: 25 75", "")
        for key, what in xcoms.items():
            yield from (f"      * - ``{key}``", f"        - {what}")


def connection_lines() -> Iterator[str]:
    """Yield the table of the connection's fields."""
    (connection,) = get_provider_info()["connection-types"]
    behaviour = connection["ui-field-behaviour"]
    yield from (".. list-table::", "   :header-rows: 1", "   :widths: 22 22 12 44", "")
    yield from ("   * - Field", "     - Key", "     - Default", "     - Meaning")
    for key in ("password", "host", "port"):
        label = behaviour["relabeling"].get(key, key.capitalize())
        yield from (
            f"   * - {label}",
            f"     - ``{key}``",
            "     -",
            f"     - The form shows: {behaviour['placeholders'][key]}",
        )
    for key, field in connection["conn-fields"].items():
        default = field["schema"].get("default")
        yield from (f"   * - {field['label']}", f"     - extra ``{key}``")
        yield from (f"     - {'' if default is None else f'``{default}``'}", f"     - {field['description']}")


def exceptions() -> list[type[Exception]]:
    """Return the exceptions that a task or a call may end with, in the order in which their modules have them."""
    modules = ("exceptions", "api.errors", "claiming.token", "claiming.claim_file")
    classes = classes_in(*(f"{PACKAGE}.{name}" for name in modules))
    return [ArgumentError, *(each for each in classes if issubclass(each, Exception))]


def exception_lines() -> Iterator[str]:
    """Yield what describes the exceptions."""
    for each in exceptions():
        bases = ", ".join(f"``{base.__name__}``" for base in each.__bases__)
        yield from (f".. py:exception:: {each.__name__}", f"   :module: {each.__module__}", "")
        yield from (f"   {line}" for line in fields_of(inspect.getdoc(each) or "")[0].splitlines())
        yield from ("", f"   A {bases}; ``from {each.__module__} import {each.__name__}``.", "")


class ProviderReference(SphinxDirective):
    """``{provider-reference} operators``: the reference of one kind of thing."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the parsed reference."""
        kind = self.arguments[0]
        if kind == "connection":
            lines = list(connection_lines())
        elif kind == "exceptions":
            lines = list(exception_lines())
        else:
            lines = [line for each in public_classes(kind) for line in class_lines(each)]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the directive known."""
    app.add_directive("provider-reference", ProviderReference)
    return {"parallel_read_safe": True}
