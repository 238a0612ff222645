"""Draws Grafana's panels as SVG: what docs/draw_dashboards.py is made of. It asks no database and is no part of the city."""
