"""Adjustments: what is taken off or put on after the charge, in one visible order.

1. `discounts`, one after the other, each on what the ones before left
2. a price's maximum and minimum (`billing.rating.pricing`)
3. `tax` on the rounded, discounted lines
4. `credits` off the total after tax

`document.settle` does 1, 3 and 4 for the lines of a document. Pure. Start reading there.
"""
