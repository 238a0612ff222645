"""The dashboards of Grafana as code: one definition in two languages, written as JSON by `deploy/grafana/generate.py`.

A module a dashboard, its SQL in `sql/`. `model.py` says what a dashboard is made of, `panels.py` and `board.py` turn it into
Grafana's own types. Nothing here asks a database; the tests and docs/draw_dashboards.py run the same queries.
"""
