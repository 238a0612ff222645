"""What is chosen at the top of a dashboard. Used by the modules of dashboards. Pure."""

from __future__ import annotations

from city_dashboards.model import Variable
from city_dashboards.words import ALL, Words

API_URL = "http://127.0.0.1:8001"  # of docker-compose.yml; `generate.py --api` writes another

AREAS: tuple[Variable, ...] = (
    Variable("city", Words("City", "城市"), "areas/cities"),
    Variable("district", Words("District", "区县"), "areas/level:district:city"),
    Variable("street", Words("Street", "街道"), "areas/level:street:district"),
    Variable("community", Words("Community", "社区"), "areas/level:community:street"),
    Variable("grid", Words("Grid", "网格"), "areas/level:grid:community"),
    Variable("area", Words("Area", "区域"), "areas/chosen", hidden=True),
)
API = Variable("api", Words("API", "接口地址"), fixed=API_URL, hidden=True)
MEDIUM = Variable(
    "medium",
    Words("Medium", "介质"),
    options=(
        ("-", ALL),
        ("water", Words("water", "水")),
        ("power", Words("power", "电")),
        ("gas", Words("gas", "气")),
        ("heat", Words("heat", "热")),
    ),
)
SUBJECT = Variable("subject", Words("Asset", "部件编号"))
METRIC = Variable("metric", Words("Metric", "指标"), "asset/metrics")
