-- A service that only signs and reads holds the vault's key too, and has to see that it is the right one, as admins do.

GRANT EXECUTE ON FUNCTION ledger.stated_key TO ledger_signing;
