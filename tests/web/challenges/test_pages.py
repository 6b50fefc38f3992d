"""Pages of challenges: the list, and what a board shows to whom."""

import datetime
import re

from tests.conftest import Secured
from tests.support.servers import Server
from tests.web.accounts.test_pages import Browser, logged_in

BROWSER = {"Accept": "text/html,application/xhtml+xml"}
SOON = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=6, hours=1)).isoformat()
TEXT = {"environment": "CartPole-v1", "trials": {"number": 1}}


def define(secured: Secured, name: str, **more: object) -> None:
    definition = {"name": name, **TEXT, **more}
    assert secured.ask("organiser", "POST", "/challenges/", {"definition": definition}).status == 200


def page(server: Server, path: str) -> str:
    return re.sub(r"<[^>]*>|\s+", " ", server.get(path, **BROWSER).body.decode())


def test_the_list_says_what_is_open_coming_and_over(secured: Secured) -> None:
    define(secured, "open-now", title="Open now", phases=[{"name": "one", "closes": SOON}])
    define(secured, "coming", title="Coming soon", phases=[{"name": "one", "opens": SOON}])
    past = {"opens": "2020-01-01T00:00:00+00:00", "closes": "2020-02-01T00:00:00+00:00"}
    define(secured, "over", title="Long over", phases=[{"name": "one", **past}])
    text = page(secured.server, "/challenges/")
    order = [
        text.index(words) for words in ("Open now", "closes  in 6 days", "Coming soon", "opens  in 6 days", "Long over")
    ]
    assert order == sorted(order)


def test_a_challenge_that_opens_later_says_when(secured: Secured) -> None:
    define(secured, "later", phases=[{"name": "one", "opens": SOON}])
    assert "opens  in 6 days" in page(secured.server, "/boards/later")


def test_a_hidden_board_is_shown_to_its_organiser(secured: Secured) -> None:
    define(secured, "veiled", ranking={"hidden_until": "2999-01-01T00:00:00+00:00"})
    assert "hidden" in page(secured.server, "/boards/veiled")
    assert "No scores yet" in logged_in(Browser(secured.server), "organiser").get("/boards/veiled")


def test_the_code_to_take_part_has_a_token_where_one_is_needed(secured: Secured, server: Server) -> None:
    define(secured, "entered")
    assert "token=&#34;YOUR-API-KEY&#34;" in page(secured.server, "/boards/entered").replace('"', "&#34;")
    assert server.post("/challenges/", {"definition": {"name": "entered-openly", **TEXT}}).status == 200
    assert "YOUR-API-KEY" not in page(server, "/boards/entered-openly")


def test_a_page_beyond_the_last_is_the_last(secured: Secured) -> None:
    define(secured, "short")
    assert "No scores yet" in page(secured.server, "/boards/short?page=7")
    browser = logged_in(Browser(secured.server), "other")
    assert "There is no page 7" in browser.get("/training?page=7")
    assert "There is no page 7" in browser.get("/training/models?page=7")
