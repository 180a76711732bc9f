"""The embedded PostgreSQL: one server for a LEDGER_HOME, started by whoever comes first. Enter by `sharing.shared`.

Standard library only, so that a command which needs no database does not wait for a driver.
"""
