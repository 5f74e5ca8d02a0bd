"""The words of a printed invoice. They follow the document's language, not the reader's."""

from collections.abc import Mapping
from typing import Final

ENGLISH: Final = "en"
CHINESE: Final = "zh-hans"

# 账单 and not 发票: in China the latter is the tax document that only the tax authority's system
# issues, and this paper must not be mistaken for it.
WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    ENGLISH: {
        "title": "Invoice",
        "number": "Invoice number",
        "issued_on": "Date of issue",
        "due_on": "Due date",
        "period": "Billing period",
        "zone": "Days are days of",
        "seller": "From",
        "buyer": "Bill to",
        "tax_id": "Tax ID",
        "reference": "Account",
        "description": "Description",
        "quantity": "Quantity",
        "unit_price": "Unit price",
        "amount": "Amount",
        "subtotal": "Subtotal",
        "discount": "Discount",
        "tax": "Tax",
        "tax_at": "Tax {rate}% of {taxable}",
        "total": "Total",
        "paid": "Paid",
        "due": "Amount due",
        "payment": "How to pay",
        "pay_by": "Please pay {amount} by {day}.",
        "payment_reference": "Please give {number} as the payment reference.",
        "no_payment": "Nothing is left to pay.",
        "page": "Page {page} of {pages}",
        "amounts_in": "All amounts in {currency}",
        "to": " to ",
        "colon": ": ",
        "semicolon": "; ",
        "on": " on {day}",
        "included": "{quantity} included",
        "charged": "{quantity} charged",
        "share": "{share} of the period",
        "true_up": "up to the minimum of {minimum}",
        "plan_minimum": "up to the plan's minimum of {minimum}",
        "plan_maximum": "down to the plan's maximum of {maximum}",
        "maximum": "at most {maximum}",
        "more": "and {count} more tiers",
        "max_day": "highest day {value}",
        "kth_max_day": "highest day no. {k}: {value}",
        "mean_day": "mean of the days {value}",
        "sum_days": "sum of the days {value}",
        "p95_day": "95th percentile of the days {value}",
        "sum": "sum {value}",
        "max": "maximum {value}",
        "latest": "latest value {value}",
    },
    CHINESE: {
        "title": "账单",
        "number": "账单编号",
        "issued_on": "开具日期",
        "due_on": "付款期限",
        "period": "计费周期",
        "zone": "日期所用时区",
        "seller": "服务方",
        "buyer": "客户",
        "tax_id": "税号",
        "reference": "账户",
        "description": "项目",
        "quantity": "数量",
        "unit_price": "单价",
        "amount": "金额",
        "subtotal": "小计",
        "discount": "折扣",
        "tax": "税额",
        "tax_at": "税额（{taxable} 的 {rate}%）",
        "total": "合计",
        "paid": "已付",
        "due": "应付金额",
        "payment": "付款方式",
        "pay_by": "请在 {day}当天或之前支付 {amount}。",
        "payment_reference": "付款时请注明账单编号 {number}。",
        "no_payment": "无需付款。",
        "page": "第 {page} 页，共 {pages} 页",
        "amounts_in": "金额单位：{currency}",
        "to": "至",
        "colon": "：",
        "semicolon": "；",
        "on": "（{day}）",
        "included": "含 {quantity}",
        "charged": "计费 {quantity}",
        "share": "占周期的 {share}",
        "true_up": "补足至最低 {minimum}",
        "plan_minimum": "补足至套餐最低 {minimum}",
        "plan_maximum": "减至套餐最高 {maximum}",
        "maximum": "最高 {maximum}",
        "more": "另有 {count} 档",
        "max_day": "单日最高 {value}",
        "kth_max_day": "第 {k} 高日 {value}",
        "mean_day": "日均 {value}",
        "sum_days": "每日合计 {value}",
        "p95_day": "每日第 95 百分位 {value}",
        "sum": "合计 {value}",
        "max": "最大值 {value}",
        "latest": "最新值 {value}",
    },
}


def words_of(language: str) -> Mapping[str, str]:
    """The words in the language; English for one that documents are not written in."""
    return WORDS[document_language(language)]


def document_language(language: str) -> str:
    """`zh-hans` for any simplified Chinese, else `en`."""
    lowered = language.lower()
    return CHINESE if lowered in {"zh", "zh-hans", "zh-cn", "zh-sg", "zh-hans-cn"} else ENGLISH
