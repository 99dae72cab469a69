"""What lets others trust a bento: its parts list, where it comes from, who signed it, what it may
not hold.
"""
