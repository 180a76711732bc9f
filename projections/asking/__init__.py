"""Asking: puts the queries over the log to a database, as `ledger_reader`; what answers mean is said one level up."""
