"""Kinds of tenants and how their users behave. Pure.

Shares, weekly shapes and ratios are those of published load figures; where none is published, they are
assumptions.
"""

from dataclasses import dataclass
from typing import Final

ALL_DAY: Final = (
    2.0, 1.2, 0.8, 0.6, 0.5, 0.7, 1.4, 2.6, 4.0, 4.9, 5.2, 5.3,
    5.6, 5.2, 4.9, 5.0, 5.1, 5.2, 5.5, 6.2, 7.0, 7.4, 7.1, 6.6,
)  # fmt: skip
"""Weight of each hour of the day for consumer apps; the peak hour is 1.8 times the mean."""

OFFICE: Final = (
    0.2, 0.1, 0.1, 0.1, 0.1, 0.2, 0.8, 2.5, 7.5, 10.5, 10.8, 9.8,
    5.6, 7.2, 9.6, 9.8, 9.2, 7.4, 3.8, 1.9, 1.2, 0.9, 0.5, 0.2,
)  # fmt: skip
"""The same of organisations' own chat."""

ROUND_THE_CLOCK: Final = (4.0,) * 8 + (4.25,) * 16
"""The same of devices."""

LEISURE_WEEK: Final = (1.0, 1.0, 1.0, 1.0, 1.05, 1.12, 1.08)
OFFICE_WEEK: Final = (1.1, 1.1, 1.1, 1.1, 1.1, 0.3, 0.25)
LEARNING_WEEK: Final = (1.0, 1.0, 1.0, 1.0, 0.95, 1.15, 1.1)
EVEN_WEEK: Final = (1.0,) * 7


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantClass:
    """`share` of all tenants in percent; `week` from Monday; `stickiness` is DAU over MAU.

    `talk` multiplies the usual number of messages a user and day; `kinds` are the kinds of its
    messages with their weights.
    """

    key: str
    share: int
    week: tuple[float, ...]
    hours: tuple[float, ...]
    stickiness: float
    talk: float
    kinds: tuple[tuple[str, int], ...]
    app_names: tuple[str, ...]
    english: tuple[str, ...]
    chinese: tuple[str, ...]


CLASSES: Final = (
    TenantClass(
        key="social",
        share=10,
        week=LEISURE_WEEK,
        hours=ALL_DAY,
        stickiness=0.45,
        talk=1.8,
        kinds=(("single", 6), ("group", 4)),
        app_names=("chat", "groups", "lite"),
        english=("Social", "Circles", "Friends", "Community"),
        chinese=("社交", "同城交友", "社区"),
    ),
    TenantClass(
        key="live",
        share=5,
        week=LEISURE_WEEK,
        hours=ALL_DAY,
        stickiness=0.25,
        talk=4.0,
        kinds=(("room", 9), ("single", 1)),
        app_names=("live", "studio", "fans"),
        english=("Live", "Stage", "Streaming"),
        chinese=("直播", "文化传媒", "互动娱乐"),
    ),
    TenantClass(
        key="game",
        share=8,
        week=LEISURE_WEEK,
        hours=ALL_DAY,
        stickiness=0.3,
        talk=1.2,
        kinds=(("group", 5), ("room", 3), ("single", 2)),
        app_names=("game", "guild", "beta"),
        english=("Games", "Interactive", "Play"),
        chinese=("游戏", "互动科技", "数字娱乐"),
    ),
    TenantClass(
        key="education",
        share=12,
        week=LEARNING_WEEK,
        hours=ALL_DAY,
        stickiness=0.3,
        talk=0.8,
        kinds=(("group", 7), ("single", 3)),
        app_names=("classroom", "parents", "campus"),
        english=("Academy", "Learning", "Schools"),
        chinese=("在线教育", "教育科技", "智慧校园"),
    ),
    TenantClass(
        key="commerce",
        share=30,
        week=EVEN_WEEK,
        hours=ALL_DAY,
        stickiness=0.12,
        talk=0.5,
        kinds=(("single", 9), ("group", 1)),
        app_names=("service", "shop", "couriers"),
        english=("Market", "Retail", "Logistics", "Travel", "Clinics"),
        chinese=("电子商务", "供应链", "物流", "健康管理", "旅行服务"),
    ),
    TenantClass(
        key="office",
        share=20,
        week=OFFICE_WEEK,
        hours=OFFICE,
        stickiness=0.55,
        talk=1.0,
        kinds=(("single", 5), ("group", 5)),
        app_names=("work", "field", "partners"),
        english=("Systems", "Works", "Engineering", "Office"),
        chinese=("信息技术", "企业服务", "软件"),
    ),
    TenantClass(
        key="devices",
        share=15,
        week=EVEN_WEEK,
        hours=ROUND_THE_CLOCK,
        stickiness=0.6,
        talk=0.7,
        kinds=(("command", 7), ("single", 3)),
        app_names=("devices", "alerts", "fleet"),
        english=("Devices", "Mobility", "Energy", "Sensors"),
        chinese=("智能设备", "物联网", "新能源"),
    ),
)
