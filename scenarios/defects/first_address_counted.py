"""The address that is counted is the first of X-Forwarded-For, which the client may have written itself."""

from harness.rows.defect import Defect

DEFECT = Defect(
    name="first_address_counted",
    title="strangers are counted by an address that they name themselves",
    plants=("first_address_counted",),
    nets_removed=("the load balancer's own address counted",),
)
