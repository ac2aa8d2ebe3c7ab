"""Django's Postgres backend with the app's connection rules; see `base`."""
