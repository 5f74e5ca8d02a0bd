"""Names of organisations that exist nowhere. Pure."""

from dataclasses import dataclass, replace
from random import Random
from typing import Final

from billing.fapiao.domain.identifiers import check_character
from config.demo.classes import TenantClass

_CITIES: Final = (
    ("北京", "beijing", "Beijing", "海淀区中关村南路"),
    ("上海", "shanghai", "Shanghai", "浦东新区云帆路"),
    ("深圳", "shenzhen", "Shenzhen", "南山区科苑北道"),
    ("杭州", "hangzhou", "Hangzhou", "西湖区文溪路"),
    ("广州", "guangzhou", "Guangzhou", "天河区珠江东路"),
    ("成都", "chengdu", "Chengdu", "高新区天府三街"),
    ("武汉", "wuhan", "Wuhan", "洪山区光谷大道"),
    ("南京", "nanjing", "Nanjing", "玄武区钟灵街"),
    ("西安", "xian", "Xi'an", "雁塔区锦业二路"),
    ("苏州", "suzhou", "Suzhou", "工业园区星湖街"),
    ("厦门", "xiamen", "Xiamen", "思明区软件园二期"),
    ("长沙", "changsha", "Changsha", "岳麓区麓谷大道"),
)
_BRANDS: Final = (
    ("云杉", "yunshan"), ("星澜", "xinglan"), ("青禾", "qinghe"), ("远舟", "yuanzhou"),
    ("木槿", "mujin"), ("鲸落", "jingluo"), ("知渔", "zhiyu"), ("拾光", "shiguang"),
    ("蓝桉", "lanan"), ("听雨", "tingyu"), ("北斗湾", "beidouwan"), ("山月", "shanyue"),
    ("麦田", "maitian"), ("云栖谷", "yunxigu"), ("飞檐", "feiyan"), ("银杏", "yinxing"),
    ("海棠", "haitang"), ("晨帆", "chenfan"), ("松果", "songguo"), ("极昼", "jizhou"),
    ("九曜", "jiuyao"), ("微澜", "weilan"), ("朝露", "zhaolu"), ("南枝", "nanzhi"),
    ("橙舟", "chengzhou"), ("乐伴", "leban"), ("壹方", "yifang"), ("小象", "xiaoxiang"),
    ("千寻", "qianxun"), ("枫桥", "fengqiao"), ("澄海", "chenghai"), ("晓风", "xiaofeng"),
)  # fmt: skip
_WORDS: Final = (
    "Lantern", "Harbour", "Juniper", "Northwind", "Copper", "Meadow", "Falcon", "Orchard", "Pebble",
    "Saffron", "Willow", "Granite", "Marlin", "Cedar", "Beacon", "Tamarind", "Bluebird", "Quartz",
    "Heron", "Maple", "Driftwood", "Amber", "Thistle", "Monsoon", "Larkspur", "Cobalt", "Sandpiper",
    "Ember", "Hazel", "Kestrel", "Lotus", "Mistral", "Nimbus", "Otter", "Poppy", "Raven",
)  # fmt: skip
_LONG_CHINESE: Final = (
    "中部地区互联网医疗与老年健康照护服务联合体（武汉）信息技术股份有限公司华中分公司",
    "长三角中小企业数字化采购与供应链协同公共服务平台运营管理有限责任公司",
    "西南山区乡村教师远程培训与留守儿童心理陪伴公益发展中心信息化建设办公室",
)
_LONG_LATIN: Final = {
    "DE": "Gemeinnützige Genossenschaft für digitale Nachbarschaftshilfe und mobile "
    "Pflegevermittlung Brandenburg-Süd eG",
    "US": "The Greater Tri-County Association of Independent Veterinary Clinics, Kennels & "
    "Animal Shelters, Inc.",
    "IN": "Consolidated Peninsular Handloom Weavers' Marketing and Logistics Cooperative "
    "Federation Private Limited",
    "CN": "Pearl River Delta Cross-Border Small-Parcel Customer Care and Returns Coordination "
    "(Guangzhou) Co., Ltd.",
}
_TRIES: Final = 30
_FORMS: Final = {"DE": "GmbH", "US": "Inc.", "IN": "Pvt. Ltd."}
_ADDRESSES: Final = {
    "DE": ("{n} Lindenufer", "10969 Berlin"),
    "US": ("{n} Foundry Street", "Hoboken, NJ 07030"),
    "IN": ("{n} Banyan Road", "Bengaluru 560038"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Organisation:
    """A name, the key made from it, and what stands on its invoices."""

    key: str
    name: str
    language: str
    address: str
    tax_id: str


class Namer:
    """Gives each organisation a name and a key of its own."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._long_chinese = list(_LONG_CHINESE)
        self._long_latin = dict(_LONG_LATIN)

    def name(
        self, random: Random, *, kind: TenantClass, country: str, is_chinese: bool, is_long: bool
    ) -> Organisation:
        """A new one. `is_chinese` asks for a name in Chinese, `is_long` for a very long one."""
        drawn = self._draw(random, kind=kind, country=country, is_chinese=is_chinese)
        for _ in range(_TRIES):
            if drawn.key not in self._keys:
                break
            drawn = self._draw(random, kind=kind, country=country, is_chinese=is_chinese)
        name = drawn.name
        if is_long and is_chinese and self._long_chinese:
            name = self._long_chinese.pop()
        elif is_long and not is_chinese:
            name = self._long_latin.pop(country, name)
        return replace(drawn, name=name, key=self._own(drawn.key))

    def _draw(
        self, random: Random, *, kind: TenantClass, country: str, is_chinese: bool
    ) -> Organisation:
        number = random.randrange(2, 299)
        if country == "CN":
            city, city_key, city_name, street = random.choice(_CITIES)
            address = f"{city}市{street}{number}号"
        else:
            city, city_key, city_name = "", "", ""
            line, place = _ADDRESSES[country]
            address = f"{line.format(n=number)}\n{place}"
        if is_chinese:
            brand, brand_key = random.choice(_BRANDS)
            form = "股份有限公司" if random.random() < 0.15 else "有限公司"
            name = f"{city}{brand}{random.choice(kind.chinese)}{form}"
            key = f"{city_key}-{brand_key}"
        else:
            first, second = random.sample(_WORDS, 2)
            both = random.random() < 0.35
            brand = f"{first} {second}" if both else first
            trade = random.choice(kind.english)
            form = f"({city_name}) Co., Ltd." if country == "CN" else _FORMS[country]
            name = f"{brand} {trade} {form}"
            key = f"{brand}-{trade}".lower().replace(" ", "-")
        return Organisation(
            key=key,
            name=name,
            language="zh-hans" if country == "CN" else "en",
            address=address,
            tax_id=_tax_id(random, country=country),
        )

    def _own(self, wanted: str) -> str:
        key, again = wanted, 1
        while key in self._keys:
            again += 1
            key = f"{wanted}-{again}"
        self._keys.add(key)
        return key


def _tax_id(random: Random, *, country: str) -> str:
    """Of the right look; the letters X mark it as nobody's. A Chinese one has its right check character,
    since fapiao are issued to it."""
    digits = f"{random.randrange(10**9):09}"
    chinese = f"91XX{digits}XX{random.randrange(100):02}"
    return {
        "CN": chinese + check_character(chinese),
        "DE": f"DEXX{digits[:7]}",
        "US": f"XX-{digits[:7]}",
        "IN": f"29XXX{digits[:5]}X1Z{digits[5]}",
    }[country]
