"""What a person chose for reading: theme and language, each kept in a cookie."""

from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language
from django.views.decorators.http import require_POST

THEMES: Final = ("system", "light", "dark")
_THEME_COOKIE: Final = "summit_theme"
_A_YEAR: Final = 365 * 24 * 3600


def context(request: HttpRequest) -> dict[str, Any]:
    """What every page's frame shows: the theme, the language and where to come back to."""
    theme = request.COOKIES.get(_THEME_COOKIE, "system")
    return {
        "theme": theme if theme in THEMES else "system",
        "html_language": {"zh-hans": "zh-Hans"}.get(get_language() or "en", "en"),
        "languages": (("en", "English"), ("zh-hans", "简体中文")),
        "current_address": request.get_full_path(),
    }


@require_POST
def set_theme(request: HttpRequest) -> HttpResponse:
    """Keep the chosen theme in a cookie and go back to the page."""
    back = request.POST.get("next", "/")
    if not url_has_allowed_host_and_scheme(
        back, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    ):
        back = "/"
    response = HttpResponseRedirect(back)
    theme = request.POST.get("theme", "")
    if theme in THEMES:
        response.set_cookie(
            _THEME_COOKIE,
            theme,
            max_age=_A_YEAR,
            samesite="Lax",
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
        )
    return response
