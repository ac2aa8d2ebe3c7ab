"""Routes of the API."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from backend import metrics, refusals
from backend.health import views as health


@csrf_exempt
def graphql(request: HttpRequest) -> HttpResponse:
    """The GraphQL endpoint, imported when the first request needs it (the API's master warms it up).

    Workers and beat import this module too, for Django's checks; they must not pay for strawberry.
    """
    from backend.endpoint import graphql as endpoint

    return endpoint(request)


handler400 = refusals.bad_request
handler403 = refusals.forbidden
handler404 = refusals.not_found
handler500 = refusals.failed

urlpatterns = [
    path("graphql/", graphql),
    path("health/", health.ready),
    path("health/live", health.live),
    path("health/ready", health.ready),
    path("health/imports", health.imports),
    path("metrics", metrics.metrics),
    path("admin/", admin.site.urls),
]
