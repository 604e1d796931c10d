"""Settings of the documentation site: ``make docs``."""

project = "vna_lifecycle"
author = "The vna_lifecycle maintainers"
project_copyright = author
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_show_sphinx = False
html_copy_source = False
html_title = "vna_lifecycle"
