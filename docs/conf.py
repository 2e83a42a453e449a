"""How Sphinx builds these pages (`make docs`): without network, with every warning an error and every link checked."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

# The classes are made of Airflow's, which writes its configuration where it is imported.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="nrfprov-docs-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)

from airflow_provider_nrfprov import __version__  # noqa: E402 - after the environment

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "airflow-provider-nrfprov"
author = "The airflow-provider-nrfprov authors"
copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "provider_reference"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence", "deflist"]
# Links to headings are those that the code's host makes: the pages are read there, too.
myst_heading_anchors = 4

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
nitpicky = True
# Named, not linked: their own documentation is elsewhere, and a build asks no network for it.
nitpick_ignore_regex = [
    (r"py:.*", r"(airflow|pendulum|requests|collections|datetime|os|types|typing|asyncio|fsspec|upath)\..*"),
    (r"py:.*", r"(Airflow\w+|BaseHook|BaseOperator|TaskGroup|DAG|XComArg)"),
    # Neither are type variables, nor halves of an annotation that Sphinx cuts at its comma.
    (r"py:class", r".*\.(ResultT|ItemT)|(tuple|dict)\[.*"),
    # Of the client, not for users.
    (
        r"py:class",
        r"(airflow_provider_nrfprov\.api\.)?((apis\.)?Api|Json|throttle\.Throttle|operations\.Operation)",
    ),
]

# Quotation marks in texts are often those of code.
smartquotes = False

html_theme = "furo"
html_title = f"{project} {version}"
html_copy_source = False
