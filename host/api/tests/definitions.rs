//! Streams, views and rules over HTTP: revisions, refusals that name everything, changes that are all or none.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use support::{BIG, CARD_SPEND, PAYMENTS, Server};

#[test]
fn a_definition_is_created_changed_read_and_deleted() {
    let server = Server::start();
    let created = server.put_yaml("/v1/streams/payments", PAYMENTS).expect(201);
    assert_eq!(
        (&created["revision"], &created["author"], &created["changed"]),
        (&json!(1), &json!("admin"), &json!(true))
    );
    assert_eq!(created["definition"]["partitions"], 4, "filled in by the server");
    assert!(created["at"].as_i64().unwrap() > 1_700_000_000_000);

    server.put_yaml("/v1/rules/big", BIG).expect(201);
    let same = server.put_yaml("/v1/rules/big", BIG).expect(200);
    assert_eq!((&same["revision"], &same["changed"]), (&json!(1), &json!(false)));
    let changed = server.put_yaml("/v1/rules/big", &BIG.replace("1000.0", "100.0")).expect(200);
    assert_eq!((&changed["revision"], &changed["changed"]), (&json!(2), &json!(true)));

    let read = server.get("/v1/rules/big");
    assert_eq!(read.headers["etag"], "\"2\"");
    assert_eq!(read.expect(200)["definition"]["score"], "amount / 100.0");
    let list = server.get("/v1/rules").expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);

    assert_eq!(server.delete("/v1/rules/big").status, 204);
    server.get("/v1/rules/big").problem(404, "not-found");
    server.delete("/v1/rules/big").problem(404, "not-found");
    let revisions = server.get("/v1/rules/big/revisions").expect(200);
    let numbers: Vec<_> = revisions["items"].as_array().unwrap().iter().map(|item| item["revision"].clone()).collect();
    assert_eq!(numbers, [json!(3), json!(2), json!(1)]);
    assert_eq!(revisions["items"][0]["definition"], json!(null));
    server.get("/v1/rules/other/revisions").problem(404, "not-found");
}

#[test]
fn an_invalid_definition_is_refused_and_changes_nothing() {
    let server = Server::start();
    server.put_yaml("/v1/streams/payments", PAYMENTS).expect(201);
    let problem = server.put_yaml("/v1/rules/big", &BIG.replace("amount / 1000.0", "amuont / 1000.0"));
    let problem = problem.problem(422, "invalid-definition");
    assert_eq!(problem["problems"][0]["kind"], "rule");
    assert_eq!(problem["problems"][0]["name"], "big");
    assert_eq!(problem["problems"][0]["at"], "score");
    assert!(problem["detail"].as_str().unwrap().contains("amount"), "{problem}");

    let problem = server.put_yaml("/v1/rules/big", &BIG.replace("score:", "scoer:")).problem(422, "invalid-definition");
    assert!(problem["detail"].as_str().unwrap().contains("did you mean 'score'?"), "{problem}");
    let problem = server.put_yaml("/v1/rules/small", BIG).problem(422, "invalid-definition");
    assert!(problem["detail"].as_str().unwrap().contains("calls itself 'big'"), "{problem}");
    server.put_yaml("/v1/rules/big", &BIG.replace("payments", "orders")).problem(422, "invalid-definition");
    server.delete("/v1/streams/orders").problem(404, "not-found");
    assert_eq!(server.get("/v1/rules").expect(200)["items"], json!([]));
}

#[test]
fn definitions_that_others_use_cannot_be_deleted() {
    let server = Server::start();
    server.define_payments();
    let problem = server.delete("/v1/views/card_spend").problem(409, "in-use");
    assert_eq!(problem["users"], json!([{"kind": "rule", "name": "spender"}]));
    assert!(problem["detail"].as_str().unwrap().contains("used by rule 'spender'"), "{problem}");
    let problem = server.delete("/v1/streams/payments").problem(409, "in-use");
    let users = [("view", "card_spend"), ("rule", "big"), ("rule", "spender")];
    assert_eq!(problem["users"], json!(users.map(|(kind, name)| json!({"kind": kind, "name": name}))));
    let all = json!({"changes": [{"kind": "view", "name": "card_spend", "definition": null}]});
    server.post("/v1/changes", &all).problem(409, "in-use");
    server.get("/v1/views/card_spend").expect(200);
}

#[test]
fn a_dry_run_changes_nothing() {
    let server = Server::start();
    let dry = server.put_yaml("/v1/streams/payments?dry_run=true", PAYMENTS).expect(200);
    assert_eq!((&dry["dry_run"], &dry["changed"], &dry["revision"]), (&json!(true), &json!(true), &json!(1)));
    server.get("/v1/streams/payments").problem(404, "not-found");
    server.put_yaml("/v1/streams/payments?dry_run=true", "stream: payments").problem(422, "invalid-definition");
}

#[test]
fn if_match_keeps_two_authors_from_overwriting_each_other() {
    let server = Server::start();
    server.define_payments();
    let put = |expected: &str, body: &str| {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let request = agent.put(format!("{}/v1/rules/big", server.url));
        let request = request.header("authorization", format!("Bearer {}", server.admin));
        let request = request.header("content-type", "application/yaml").header("if-match", expected);
        request.send(body).unwrap().status().as_u16()
    };
    assert_eq!(put("\"1\"", &BIG.replace("1000.0", "100.0")), 200);
    assert_eq!(put("\"1\"", &BIG.replace("1000.0", "10.0")), 412);
    assert_eq!(put("abc", BIG), 412, "it is no revision");
    assert_eq!(server.get("/v1/rules/big").expect(200)["definition"]["score"], "amount / 100.0");
}

#[test]
fn conditional_reads_and_creations_respect_etags() {
    let server = Server::start();
    let put = |path: &str, text: &str, condition: (&str, &str)| {
        server.admin_with("PUT", path, Some(("application/yaml", text.as_bytes())), &[condition])
    };
    let is_new = ("if-none-match", "*");
    put("/v1/streams/payments", PAYMENTS, ("if-match", "*")).problem(412, "revision-mismatch");
    put("/v1/streams/payments", PAYMENTS, is_new).expect(201);
    let problem = put("/v1/streams/payments", PAYMENTS, is_new).problem(412, "revision-mismatch");
    assert!(problem["detail"].as_str().unwrap().contains("there already, at revision 1"), "{problem}");
    put("/v1/views/card_spend", CARD_SPEND, is_new).expect(201);
    put("/v1/rules/big", BIG, is_new).expect(201);
    put("/v1/rules/big", &BIG.replace("1000.0", "10.0"), ("if-match", "\"7\", \"1\"")).expect(200);

    let get = |path: &str, known: &str| server.admin_with("GET", path, None, &[("if-none-match", known)]);
    for path in
        ["/v1/streams/payments", "/v1/views/card_spend", "/v1/rules/big", "/v1/rules?mode=active", "/v1/streams"]
    {
        let tag = server.get(path).headers["etag"].to_str().unwrap().to_owned();
        let unchanged = get(path, &tag);
        assert_eq!(
            (unchanged.status, unchanged.text.as_str(), &unchanged.headers["etag"]),
            (304, "", &tag.parse().unwrap())
        );
        assert_eq!(get(path, "\"0\"").status, 200, "{path}");
    }
    let delete = |path: &str, known: &str| server.admin_with("DELETE", path, None, &[("if-match", known)]);
    delete("/v1/views/card_spend", "\"2\"").problem(412, "revision-mismatch");
    delete("/v1/views/card_spend", "\"1\"").expect(204);
    delete("/v1/views/card_spend", "*").problem(412, "revision-mismatch");
    server.delete("/v1/views/card_spend").problem(404, "not-found");
}

#[test]
fn lists_are_filtered_by_parameters() {
    let server = Server::start();
    server.define_payments();
    server.put_yaml("/v1/rules/late", &BIG.replace("rule: big", "rule: late\nmode: paused")).expect(201);
    let names = |path: &str| {
        let list = server.get(path).expect(200);
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("/v1/rules"), ["big", "late", "spender"]);
    assert_eq!(names("/v1/rules?mode=paused"), ["late"]);
    assert_eq!(names("/v1/rules?name=e&stream=payments"), ["late", "spender"]);
    assert_eq!(names("/v1/rules?plugin=velocity"), [""; 0]);
    server.get("/v1/rules?stream=orders").problem(404, "not-found");
    server.get("/v1/rules?mode=on").problem(400, "bad-request");
    assert_eq!(names("/v1/views?stream=payments&name=spend"), ["card_spend"]);
    assert_eq!(names("/v1/streams?name=pay"), ["payments"]);
    assert_eq!(names("/v1/streams?from=payments"), [""; 0]);
    server.get("/v1/plugins?name=velocity").expect(200);
    for (path, hint) in [
        ("/v1/rules?strem=payments", "did you mean 'stream'?"),
        ("/v1/rules/big?verbose=1", "this route has none"),
        ("/v1/scores?rule=big&limt=3", "did you mean 'limit'?"),
    ] {
        let problem = server.get(path).problem(400, "bad-request");
        assert!(problem["detail"].as_str().unwrap().contains(hint), "{problem}");
    }
}

#[test]
fn a_rule_is_paused_and_goes_on_in_its_mode() {
    let server = Server::start();
    server.define_payments();
    server.put_yaml("/v1/rules/big", &format!("{BIG}mode: shadow\n")).expect(200);
    let paused = server.post("/v1/rules/big/pause", &json!(null)).expect(200);
    assert_eq!((&paused["definition"]["mode"], &paused["revision"]), (&json!("paused"), &json!(3)));
    let again = server.post("/v1/rules/big/pause", &json!(null)).expect(200);
    assert_eq!((&again["revision"], &again["changed"]), (&json!(3), &json!(false)));
    let resumed = server.post("/v1/rules/big/resume", &json!(null)).expect(200);
    assert_eq!((&resumed["definition"]["mode"], &resumed["revision"]), (&json!("shadow"), &json!(4)));
    assert_eq!(server.post("/v1/rules/big/resume", &json!(null)).expect(200)["changed"], false);
    server.post("/v1/rules/other/pause", &json!(null)).problem(404, "not-found");
}

#[test]
fn many_changes_are_all_or_none() {
    let server = Server::start();
    let json_of = |yaml: &str| serde_saphyr::from_str::<serde_json::Value>(yaml).unwrap();
    let change = |kind: &str, name: &str, yaml: &str| json!({"kind": kind, "name": name, "definition": json_of(yaml)});
    let bad = json!({"changes": [
        change("stream", "payments", PAYMENTS),
        change("view", "card_spend", CARD_SPEND),
        change("rule", "big", &BIG.replace("amount /", "nothing /")),
    ]});
    let problem = server.post("/v1/changes", &bad).problem(422, "invalid-definition");
    assert_eq!(problem["problems"].as_array().unwrap().len(), 1, "{problem}");
    server.get("/v1/streams/payments").problem(404, "not-found");

    let good = json!({"changes": [
        change("rule", "big", BIG),
        change("stream", "payments", PAYMENTS),
        change("view", "card_spend", CARD_SPEND),
    ]});
    let dry = server.post("/v1/changes?dry_run=true", &good).expect(200);
    assert_eq!((dry["changed"].as_array().unwrap().len(), &dry["dry_run"]), (3, &json!(true)));
    server.get("/v1/streams/payments").problem(404, "not-found");
    let applied = server.post("/v1/changes", &good).expect(200);
    assert_eq!(applied["changed"].as_array().unwrap().len(), 3);
    let again = server.post("/v1/changes", &good).expect(200);
    assert_eq!((&again["changed"], &again["unchanged"]), (&json!([]), &json!(3)));

    let delete = json!({"changes": [{"kind": "rule", "name": "big", "definition": null}]});
    server.post("/v1/changes", &delete).expect(200);
    server.get("/v1/rules/big").problem(404, "not-found");
    server.post("/v1/changes", &json!({"change": []})).problem(400, "bad-request");
}
