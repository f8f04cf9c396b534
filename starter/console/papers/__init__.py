"""Forms that policies declare, on pages: which there are, filing one, and how far one has come.

What a form is, its policy says (`cases.policy.forms`); here it gets pages, and no rule stands here.
"""
