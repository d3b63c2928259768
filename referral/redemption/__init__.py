"""Redemption: what customers get for their points, the vouchers, and the tills that take them."""
