"""The pipeline itself, from Prometheus: rate, errors and duration of what it does, use of what it needs, how far it has come."""

from __future__ import annotations

from city_dashboards.model import NONE_IS_GOOD, Board, Limits, Panel, Prom, Row
from city_dashboards.words import Words

_LATE: Limits = ((None, "green"), (60, "orange"), (300, "red"))
_NO_SAMPLES = Words("Prometheus has no samples", "Prometheus 无样本")


def _rate(metric: str, by: str = "") -> str:
    """How much a second, by a label."""
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))" if by else f"sum(rate({metric}[$__rate_interval]))"


def _quantile(share: float, metric: str, by: str = "") -> str:
    """The duration within which that share is done."""
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))"


def _durations(metric: str, title: Words, about: Words) -> Panel:
    """Half of them, and 99 of 100."""
    queries = (Prom(_quantile(0.5, metric), "50 %"), Prom(_quantile(0.99, metric), "99 %"))
    return _chart(title, about, "s", *queries)


def _chart(title: Words, about: Words, unit: str, *queries: Prom, width: int = 8) -> Panel:
    return Panel("chart", title, about, queries, unit, width, 8, least=0, empty=_NO_SAMPLES)


def _stat(title: Words, about: Words, unit: str, limits: Limits, *queries: Prom) -> Panel:
    return Panel("stat", title, about, queries, unit, 4, 4, limits, empty=_NO_SAMPLES)


_NOW = Row(
    Words("Freshness", "时效"),
    (
        _stat(
            Words("Watermark", "水位线"),
            Words(
                "How far the least watermark is behind the clock: what is older is complete.",
                "最小水位线落后于时钟的时长，更早的数据已完整。",
            ),
            "s",
            _LATE,
            Prom("time() - min(citybrain_aggregate_watermark_seconds > 0)", "age"),
        ),
        _stat(
            Words("Final tick", "最终评估"),
            Words("How far the last final tick of the rules is behind the clock.", "规则最近一次最终评估落后于时钟的时长。"),
            "s",
            _LATE,
            Prom("time() - max(citybrain_alert_final_seconds > 0)", "age"),
        ),
        _stat(
            Words("Waiting", "积压"),
            Words("Records and rows that roles could work on now.", "各角色当前可处理而未处理的记录与行数。"),
            "short",
            ((None, "green"), (10_000, "orange"), (1_000_000, "red")),
            Prom("sum(max by (role, exported_role) (citybrain_role_lag))", "lag"),
        ),
        _stat(
            Words("Dead letters", "死信"),
            Words(
                "Records that could not be processed and were never put back: `citybrain dead list`.",
                "无法处理且未放回的记录：citybrain dead list。",
            ),
            "short",
            NONE_IS_GOOD,
            Prom("max(citybrain_dead_letters)", "dead"),
        ),
        _stat(
            Words("Given up", "放弃的推送"),
            Words(
                "Webhooks that were given up in the range of time: `citybrain endpoints resend`.",
                "所选时间内放弃的推送：citybrain endpoints resend。",
            ),
            "short",
            NONE_IS_GOOD,
            Prom("sum(increase(citybrain_deliver_gave_up_total[$__range]))", "gave up"),
        ),
        _stat(
            Words("Clock", "时钟偏差"),
            Words("The largest distance between a machine's clock and the database's.", "各机器时钟与数据库时钟的最大差值。"),
            "s",
            ((None, "green"), (1, "orange"), (30, "red")),
            Prom("max(abs(citybrain_clock_skew_seconds))", "skew"),
        ),
        _chart(
            Words("Stages", "各阶段进度"),
            Words(
                "How far heartbeats are behind the clock at each stage: a line that climbs stands still.",
                "心跳在各阶段落后于时钟的时长；持续上升表示停滞。",
            ),
            "s",
            Prom("time() - max by (stage) (citybrain_stage_through_seconds > 0)", "{{stage}}"),
            width=12,
        ),
        _chart(
            Words("Lag", "积压"),
            Words("Records and rows that each role could work on now.", "各角色当前可处理的记录与行数。"),
            "short",
            Prom("max by (role, exported_role) (citybrain_role_lag)", "{{exported_role}} {{role}}"),
            width=12,
        ),
    ),
)
_IN = Row(
    Words("Ingest: rate, errors, duration", "接入：速率、错误、时长"),
    (
        _chart(
            Words("Events", "事件"),
            Words("Events accepted and refused, a second.", "每秒接受与拒绝的事件数。"),
            "eps",
            Prom(_rate("citybrain_ingest_accepted_total"), "accepted"),
            Prom(_rate("citybrain_ingest_rejected_total", "code"), "{{code}}"),
        ),
        _chart(
            Words("Requests", "请求"),
            Words(
                "Requests answered a second, by class of status; what is 5xx is ours.",
                "每秒应答的请求数，按状态分类；5xx为自身错误。",
            ),
            "reqps",
            Prom(_rate("citybrain_http_requests_total", "status"), "{{status}}"),
        ),
        _chart(
            Words("Answers", "应答时长"),
            Words("Seconds within which 99 of 100 requests are answered, by route.", "各路由99分位应答时长。"),
            "s",
            Prom(_quantile(0.99, "citybrain_http_request_seconds", "route"), "{{route}}"),
        ),
        _durations(
            "citybrain_bus_append_seconds",
            Words("Commits of the bus", "总线提交"),
            Words("Seconds of one shared commit of appends: 202 waits for it.", "一次共享提交的时长，202在其后返回。"),
        ),
        _chart(
            Words("Pressure", "压力"),
            Words(
                "Posts answered 429 or 503 with Retry-After, a second; bytes are after inflating.", "每秒以429或503应答的请求数。"
            ),
            "reqps",
            Prom(_rate("citybrain_ingest_pressure_total", "status"), "{{status}}"),
        ),
        _chart(
            Words("Bytes", "字节"),
            Words("Bytes of posted bodies a second, after inflating.", "每秒解压后的请求体字节数。"),
            "Bps",
            Prom(_rate("citybrain_ingest_bytes_total"), "bodies"),
        ),
    ),
)
_STORE = Row(
    Words("Aggregate and rollup", "聚合与汇总"),
    (
        _chart(
            Words("Records", "记录"),
            Words("Event records read a second, by what became of them.", "每秒读取的事件记录数，按结果分类。"),
            "eps",
            Prom(_rate("citybrain_aggregate_events_total", "outcome"), "{{outcome}}"),
        ),
        _durations(
            "citybrain_aggregate_batch_seconds",
            Words("Batches", "批次时长"),
            Words("Seconds from fetch to commit of a batch.", "批次从读取到提交的时长。"),
        ),
        _durations(
            "citybrain_rollup_pass_seconds",
            Words("Rollup", "汇总时长"),
            Words("Seconds of one pass of the rollup.", "一次汇总的时长。"),
        ),
        _chart(
            Words("Rows made", "汇总行数"),
            Words("Rows of areas and longer windows that changed, a second, by step.", "每秒变更的区域行与长窗口行，按步长。"),
            "ops",
            Prom(_rate("citybrain_rollup_rows_total", "step"), "{{step}}"),
        ),
        _chart(
            Words("Trouble", "异常"),
            Words(
                "Batches dropped because another owner was ahead, tried again, and records that the bus forgot, a second.",
                "每秒被隔离、重试的批次以及总线遗忘的记录。",
            ),
            "ops",
            Prom(_rate("citybrain_aggregate_fenced_total"), "fenced"),
            Prom(_rate("citybrain_aggregate_errors_total", "kind"), "{{kind}}"),
            Prom(_rate("citybrain_bus_lost_records_total"), "lost"),
        ),
        _chart(
            Words("Batch sizes", "批次大小"),
            Words("Mean records in a batch.", "每批次平均记录数。"),
            "short",
            Prom(
                f"{_rate('citybrain_aggregate_batch_records_sum')} / {_rate('citybrain_aggregate_batch_records_count')}",
                "records",
            ),
        ),
    ),
)
_ALERT = Row(
    Words("Alerts and deliveries", "告警与推送"),
    (
        _durations(
            "citybrain_alert_pass_seconds",
            Words("Passes of alert", "评估时长"),
            Words("Seconds of one pass over what changed.", "一次评估的时长。"),
        ),
        _chart(
            Words("Opened", "新增"),
            Words(
                "Alerts opened and transitions that somebody may want to hear of, a second.", "每秒新增的告警与需通知的状态变化。"
            ),
            "ops",
            Prom(_rate("citybrain_alert_opened_total"), "opened"),
            Prom(_rate("citybrain_notify_intents_total", "outcome"), "{{outcome}}"),
        ),
        _chart(
            Words("Attempts", "推送尝试"),
            Words("Attempts to send a webhook a second, by outcome.", "每秒推送尝试数，按结果。"),
            "ops",
            Prom(_rate("citybrain_deliver_attempts_total", "outcome"), "{{outcome}}"),
        ),
        _durations(
            "citybrain_deliver_waited_seconds",
            Words("Waited", "等待时长"),
            Words("Seconds from when a delivery was due to when it was begun.", "推送到期至开始的时长。"),
        ),
        _durations(
            "citybrain_deliver_attempt_seconds",
            Words("One attempt", "尝试时长"),
            Words("Seconds of one attempt: receivers' answers.", "一次尝试的时长，即接收端应答时长。"),
        ),
        _chart(
            Words("Trouble", "异常"),
            Words(
                "Passes and steps that failed and are tried again, and breakers opened, a second.",
                "每秒失败重试的步骤数与熔断次数。",
            ),
            "ops",
            Prom(_rate("citybrain_alert_errors_total"), "alert"),
            Prom(_rate("citybrain_notify_errors_total"), "notify"),
            Prom(_rate("citybrain_deliver_errors_total"), "deliver"),
            Prom(_rate("citybrain_deliver_breakers_opened_total"), "breakers"),
        ),
    ),
)
_USE = Row(
    Words("Use", "资源"),
    (
        _chart(
            Words("Database", "数据库"),
            Words("Bytes of the database.", "数据库大小。"),
            "bytes",
            Prom("max(citybrain_database_bytes)", "database"),
        ),
        _chart(
            Words("Free disk", "磁盘剩余"),
            Words(
                "Free bytes where an embedded city keeps its database; a cluster's database is watched where it runs.",
                "嵌入式城市数据库所在磁盘的剩余空间；集群数据库在其所在处监控。",
            ),
            "bytes",
            Prom("min(citybrain_disk_free_bytes > 0)", "free"),
        ),
        _chart(
            Words("Listeners", "订阅者"),
            Words("Listeners to the stream now, and those dropped a second.", "当前订阅者数与每秒断开数。"),
            "short",
            Prom("sum(citybrain_stream_listeners)", "listeners"),
            Prom(_rate("citybrain_stream_dropped_total", "reason"), "{{reason}}"),
        ),
    ),
)

BOARD = Board(
    "pipeline",
    Words("Pipeline health", "流水线健康"),
    Words(
        "How fresh the figures are, and how each role does: rate, errors, duration, use.",
        "数据时效与各角色运行情况：速率、错误、时长、资源。",
    ),
    (_NOW, _IN, _STORE, _ALERT, _USE),
    (),
    since="now-6h",
    refresh="30s",
    alerts=False,
)
