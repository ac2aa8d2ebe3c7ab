"""Where a request came from, to count what nobody can be asked for yet: registrations and failed authentications."""

from ipaddress import IPv6Address, IPv6Network, ip_address

from django.http import HttpRequest

_HOUSEHOLD_BITS = 64  # of an IPv6 address: one client can have all those below


def client_address(request: HttpRequest) -> str:
    """The last address of X-Forwarded-For, which the load balancer has added; the peer's where there is none.

    Whatever else is in that header, the client may have written itself.
    """
    forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    try:
        address = ip_address(forwarded)
    except ValueError:
        return str(request.META.get("REMOTE_ADDR", ""))
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Network((address, _HOUSEHOLD_BITS), strict=False))
    return str(address)
