"""What both fronts are made of: layouts, widgets, formats, translations. Knows no business.

May import `kernel` only. Start reading at `settings.py` (what a Django project needs to use it),
then `templates/ui/base.html`, `tables.py` and `charts.py`.
"""
