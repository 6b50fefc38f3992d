"""Teams submit as one entrant, and their members see each other's submissions."""

from tests.conftest import Secured
from tests.web.challenges.playing import bearer, begin, board, define, display_name, play, settled


def test_a_team_submits_as_one(secured: Secured) -> None:
    define(secured, name="teams", environment="MountainCar-v0", teams={"allowed": True}, limits={"submissions": 1})
    path = "/challenges/teams/team/"
    assert secured.ask("participant", "GET", path).status == 404
    team = secured.ask("participant", "POST", path, {"name": "Pole dancers"})
    assert (team.status, team.json["members"]) == (200, [display_name(secured, "participant")])
    code = secured.ask("participant", "POST", f"{path}invitation").json["code"]
    assert secured.ask("admin", "POST", path, {"code": "wrong"}).status == 404
    assert len(secured.ask("admin", "POST", path, {"code": code}).json["members"]) == 2
    assert secured.ask("organiser", "POST", path, {}).status == 400
    submission = begin(secured, "teams")
    assert secured.ask("admin", "POST", "/challenges/teams/submissions/").status == 429
    play(secured, submission["token"])
    secured.ask("participant", "POST", f"/v1/envs/{submission['token']}/close/")
    assert settled(secured, submission["submission_id"], "admin")["entrant"] == "team:Pole dancers"
    (place,) = [place for place in board(secured.server, "teams") if not place["baseline"]]
    assert (place["entrant"], place["rank"]) == ("team:Pole dancers", 1)
    left = secured.ask("participant", "DELETE", path)
    assert left.status == 409 and "fixed" in left.json["message"]


def test_team_members_see_what_the_others_submitted(secured: Secured) -> None:
    define(secured, name="seen", environment="MountainCar-v0", teams={"allowed": True})
    (_, first), (_, second) = secured.server.account("first"), secured.server.account("second")
    path, server = "/challenges/seen/team/", secured.server
    server.request("POST", path, {"name": "Pair"}, **bearer(first))
    own = server.request("POST", "/challenges/seen/submissions/", **bearer(first)).json["submission_id"]
    assert server.request("GET", f"/submissions/{own}/", **bearer(second)).status == 404
    code = server.request("POST", f"{path}invitation", **bearer(first)).json["code"]
    server.request("POST", path, {"code": code}, **bearer(second))
    assert server.request("GET", f"/submissions/{own}/", **bearer(second)).status == 200
    listed = server.request("GET", "/challenges/seen/submissions/", **bearer(second)).json
    assert [row["submission_id"] for row in listed] == [own]
