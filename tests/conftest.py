"""What every test may lean on. Must never read DATABASE_URL, or touch a database that the suite did not create."""
