"""Python on a page of the site runs in the folder of the page: docs/conf.py."""

import os

import matplotlib_inline.backend_inline

os.chdir(os.environ["PAGE_FOLDER"])
matplotlib_inline.backend_inline.set_matplotlib_formats("svg")
