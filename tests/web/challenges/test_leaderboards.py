"""Leaderboards as JSON, CSV and pages, and the history of an entrant."""

import re
from urllib.parse import quote

import pytest

from gymserve import client
from tests.conftest import Secured
from tests.support.servers import Server, wait_for
from tests.web.challenges.playing import CART, begin, board, define, display_name, keep_pole


def test_the_leaderboard_as_csv_with_an_etag_and_as_a_page(secured: Secured) -> None:
    define(secured, name="shown", title="<b>Shown</b>")
    server = secured.server
    first = server.get("/challenges/shown/leaderboard")
    tag = first.headers["ETag"]
    assert server.get("/challenges/shown/leaderboard", If_None_Match=tag).status == 304
    client.submit("shown", keep_pole, server=server.url, token=secured.keys["other"], progress=False)
    changed = server.get("/challenges/shown/leaderboard", If_None_Match=tag)
    assert changed.status == 200 and changed.headers["ETag"] != tag
    lines = server.get("/challenges/shown/leaderboard?format=csv").body.decode().splitlines()
    assert lines[0].startswith("rank,entrant,entrant_id,score")
    other = display_name(secured, "other")
    assert lines[1].startswith(f"1,{other},{other},12.0")
    assert 'href="/boards/shown">&lt;b&gt;Shown' in server.get("/").body.decode()
    page = server.get("/boards/shown").body.decode()
    assert "&lt;b&gt;Shown" in page and "<b>Shown" not in page
    assert re.search(rf"{other}</th>\s*<td class=\"number\">12<", page)
    for query in ("format=xml", "phase=none", "limit=0"):
        assert server.get(f"/challenges/shown/leaderboard?{query}").status == 400, query
    define(secured, name="shown", ranking={"hidden_until": "2999-01-01T00:00:00+00:00"})
    hidden = server.get("/challenges/shown/leaderboard")
    assert hidden.status == 409 and "hidden until 2999-01-01" in hidden.json["message"]
    assert secured.ask("organiser", "GET", "/challenges/shown/leaderboard").status == 200
    assert "hidden until" in server.get("/boards/shown").body.decode()


@pytest.mark.long
def test_the_history_of_an_account(secured: Secured) -> None:
    phases = [{"name": "first"}, {"name": "second", "opens": "2999-01-01T00:00:00+00:00"}]
    define(secured, name="past", phases=phases)
    server, path = secured.server, "/challenges/past/leaderboard/history"
    scores = [
        client.submit("past", agent, server=server.url, token=secured.keys["other"], progress=False).score
        for agent in (lambda observation: 0, keep_pole)
    ]
    begin(secured, "past", "other")  # it has no score
    history = secured.ask("other", "GET", path).json
    other = display_name(secured, "other")
    assert (history["phase"], history["entrant"]) == ("first", other)
    assert [row["score"] for row in history["submissions"]] == scores[::-1]
    assert {row["verdict"] for row in history["submissions"]} == {"verified"}
    assert server.get(f"{path}?entrant={quote(other)}").json == history  # public, like the board
    page = server.get(f"/boards/past?entrant={quote(other)}").body.decode()
    assert f"Scores of {other}" in page and page.count(" UTC</th>") == 2
    assert [
        row["score"] for row in secured.ask("other", "GET", f"{path}?limit=1&skip=1").json["submissions"]
    ] == scores[:1]
    assert secured.ask("other", "GET", f"{path}?phase=second").json["submissions"] == []
    assert secured.ask("participant", "GET", path).json["submissions"] == []
    assert server.get(path).status == 400 and server.get(f"{path}?entrant=x&phase=none").status == 400
    define(secured, name="past", phases=phases, ranking={"hidden_until": "2999-01-01T00:00:00+00:00"})
    assert secured.ask("other", "GET", path).status == 409
    assert len(secured.ask("organiser", "GET", f"{path}?entrant={quote(other)}").json["submissions"]) == 2


def test_an_open_server_takes_entrants_by_name(server: Server) -> None:
    assert server.post("/challenges/", {"definition": CART}).status == 200
    submission = server.post("/challenges/cart/submissions/", {"entrant": "=cmd()"}).json
    token = submission["token"]
    while server.post(f"/v1/envs/{token}/reset/").json["observation"]:
        while not server.post(f"/v1/envs/{token}/step/", {"action": 1}).json["done"]:
            pass
    server.post(f"/v1/envs/{token}/close/")
    (place,) = wait_for(lambda: [place for place in board(server, "cart") if not place["baseline"]])
    assert place["entrant"] == "=cmd()"
    assert ",'=cmd()," in server.get("/challenges/cart/leaderboard?format=csv").body.decode()
    for wrong in ("", "a\n", 3, "x" * 101):
        assert server.post("/challenges/cart/submissions/", {"entrant": wrong}).status == 400
