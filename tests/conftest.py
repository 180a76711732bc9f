"""What every test of the suite may lean on. Must never read DATABASE_URL, or touch a database that it did not create."""
