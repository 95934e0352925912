"""Accounts: registration by a code, the codes, and key packages that devices leave for strangers."""
