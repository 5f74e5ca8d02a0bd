"""Rating: quantities and terms become lines that carry their own working. Pure functions.

Bills, previews, the calculator and simulations all call `pipeline.rate_plan`. Imports nothing but
`kernel`. Start reading at `pipeline.py`, then `pricing.py` (the order of the steps) and `charges/`
(one file a charge model).
"""
