"""Settings of the documentation site: ``sphinx-build -W docs docs/_build``."""

project = "vna_lifecycle"
author = "The vna_lifecycle maintainers"
project_copyright = author
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "vna_lifecycle"
