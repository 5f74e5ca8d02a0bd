"""What a story says (contract section 4). Pure. Start reading at `steps.py`."""
