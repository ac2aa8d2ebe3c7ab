"""Load runs: who arrives when, the Locust processes that play them, their figures and the verdict over both."""
