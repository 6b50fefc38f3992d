"""The home page: what is served, the open challenges, and the first lines of code."""

from flask import render_template, request

from gymserve.store.models import now
from gymserve.web.challenges.pages import summaries
from gymserve.web.http.access import PUBLIC, allow
from gymserve.web.http.backend import backend
from gymserve.web.http.browser import Pages

blueprint = Pages("home_pages")
PICTURES = {  # file in static/pictures → the environment that it shows
    "lunarlander": "LunarLander-v3",
    "breakout": "ALE/Breakout-v5",
    "carracing": "CarRacing-v3",
    "cartpole": "CartPole-v1",
    "frozenlake": "FrozenLake-v1",
    "acrobot": "Acrobot-v1",
}
FIRST = "CartPole-v1"  # the environment that the buttons and the code lead to


@blueprint.get("/")
@allow(PUBLIC)
def show() -> str:
    """Show the home page."""
    catalogue = backend().instances.catalogue
    challenges = [each for each in summaries() if each["is_open"]]
    return render_template(
        "home.html",
        pictures=PICTURES,
        first=FIRST,
        challenges=challenges,
        at=now(),
        counts={
            "environments": sum(row["missing"] is None for row in catalogue.rows(catalogue.ids())),
            "open challenges": len(challenges),
            "instances running": len(backend().instances.list(None)),
        },
        server=request.host_url.rstrip("/") + request.script_root,
    )
