//! Tests of the Dgraph adapter on a real server. Each test has a namespace of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

use assay_contract as contract;
use assay_contract::faults;
#[path = "dgraph/namespace.rs"]
mod namespace;

use std::time::{Duration, Instant};

use assay_core::names::Offset;
use assay_core::verdict::Facets;
use assay_dgraph::{Config, Dgraph};
use assay_engine::ports::StoreError;
use assay_engine::ports::graph::{Graph, GraphEdge};
use contract::{all_pages, payments};
use faults::Proxy;
use namespace::Namespace;

fn edge(source: &str, name: &str, target: &str, time: i64) -> GraphEdge {
    GraphEdge { score: Some(0.1), time, rule: "a \"rule\"".to_owned(), ..GraphEdge::between(source, name, target) }
}

/// A facet whose kind depends on `at`: text, boolean, integer, float.
fn facets(text: &str, at: usize) -> Facets {
    let values: [serde_json::Value; 7] =
        [text.into(), true.into(), i64::MIN.into(), i64::MAX.into(), 0.1.into(), 5.0.into(), (-1e300).into()];
    [("facet_1".to_owned(), values[at % values.len()].clone())].into()
}

macro_rules! contract {
    ($($check:ident),+) => {
        $(
            #[test]
            #[ignore = "needs servers: cargo xtask test --servers"]
            fn $check() {
                contract::graph::$check(&*Namespace::new().open());
            }
        )+
    };
}

contract!(edges_are_found_from_both_ends, the_latest_edge_stays, the_order_of_equally_late_edges_does_not_matter);

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn edges_survive_reopen() {
    let dgraph = Namespace::new();
    contract::graph::write_edges_before_reopen(&*dgraph.open());
    contract::graph::edges_survive_reopen(&*dgraph.open());
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn any_text_round_trips() {
    let dgraph = Namespace::new();
    let graph = dgraph.open();
    let mut texts: Vec<String> = [
        "uid",
        "count",
        "min",
        "val",
        "math",
        "checkpwd",
        "type",
        "dgraph.type",
        "expand(_all_)",
        "a|b@c:.",
        "_:x",
        "<0x1>",
    ]
    .iter()
    .chain(&["say \"no\"", "back\\slash\\", "} } }", "two\nlines\ttab\r\n", "é日本🦀", "\u{7f}\u{85}\u{2028}\u{fffd}"])
    .chain(&["%20", "2020-01-01", "true", "12", "~x", "#", "$x", " "])
    .map(|text| (*text).to_owned())
    .collect();
    texts.push(format!("{}.id", dgraph.name));
    texts.extend((0..32_u8).map(|control| char::from(control).to_string()));
    let numbers = [Some(0.1), None, Some(5.0), Some(-1e300), Some(5e-324), Some(1.0 / 3.0), Some(1e21)];
    let mut edges: Vec<GraphEdge> = (texts.iter().enumerate())
        .map(|(at, text)| GraphEdge {
            score: numbers[at % numbers.len()],
            time: [0, i64::MIN, i64::MAX, -1][at % 4],
            rule: text.clone(),
            facets: facets(text, at),
            ..GraphEdge::between("m", text, text)
        })
        .collect();
    edges.push(edge(" ", "é", "", 7));
    assert_eq!(graph.write(&payments(0), edges.clone(), Offset(1)).unwrap(), []);
    let empty_id = edges.pop().unwrap();
    edges.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(all_pages(7, |cursor| graph.neighbours("m", 7, cursor.as_deref())), edges);
    for edge in &edges {
        let found = graph.neighbours(&edge.target, 10, None).unwrap().items;
        assert!(found.contains(edge), "{edge:?}: {found:?}");
    }
    assert_eq!(graph.neighbours("", 10, None).unwrap().items, [empty_id]);
    // A process that starts later finds the names, too.
    assert_eq!(dgraph.open().neighbours("m", 100, None).unwrap().items, edges);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn queries_in_dql_see_nodes_edges_and_facets() {
    let dgraph = Namespace::new();
    let edges = vec![edge("card-1", "paid", "shop-1", 50), edge("card-2", "paid", "shop-1", 60)];
    dgraph.open().write(&payments(0), edges, Offset(1)).unwrap();
    let found = dgraph.query(
        "{ q(func: eq(assay.id, \"card-1\")) @filter(type(assay.Node)) {
             paid @facets(score, time, rule) { id: assay.id ~paid @facets(gt(time, 55)) { id: assay.id } } }
           all(func: eq(assay.id, \"card-2\")) { expand(_all_) { id: assay.id } } }",
    );
    let shop = &found["q"][0]["paid"][0];
    assert_eq!((&shop["id"], &shop["paid|score"], &shop["paid|time"]), (&"shop-1".into(), &0.1.into(), &50.into()));
    assert_eq!(shop["~paid"][0]["id"], "card-2");
    assert_eq!(found["all"][0]["paid"][0]["id"], "shop-1");
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn edges_from_many_writers_are_upserted_once() {
    let dgraph = Namespace::new();
    // Each writer writes the same edges with its own times and in its own order.
    std::thread::scope(|scope| {
        for writer in 0..4_u32 {
            let dgraph = &dgraph;
            scope.spawn(move || {
                let graph = dgraph.open();
                for round in 0..5_i64 {
                    let mut edges: Vec<GraphEdge> = (0..60)
                        .map(|at| {
                            edge(
                                &format!("card-{}", at % 20),
                                "paid",
                                &format!("shop-{at}"),
                                (round * 7 + at * i64::from(writer)) % 31,
                            )
                        })
                        .collect();
                    edges.rotate_left((writer * 7) as usize);
                    graph.write(&payments(writer), edges, Offset(round as u64 + 1)).unwrap();
                }
            });
        }
    });
    let graph = dgraph.open();
    for at in 0..60_i64 {
        let latest = (0..4).flat_map(|writer| (0..5).map(move |round| (round * 7 + at * writer) % 31)).max().unwrap();
        let expected = edge(&format!("card-{}", at % 20), "paid", &format!("shop-{at}"), latest);
        assert_eq!(graph.neighbours(&format!("shop-{at}"), 10, None).unwrap().items, [expected]);
    }
    assert!((0..4).all(|writer| graph.position(&payments(writer)).unwrap() == Offset(5)));
    let counts = dgraph.query("{ n(func: has(assay.id)) { count(uid) } e(func: has(assay.edge)) { count(uid) } }");
    assert_eq!((&counts["n"][0]["count"], &counts["e"][0]["count"]), (&80.into(), &60.into()));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn edges_added_between_two_pages_are_listed_once_or_skipped() {
    let dgraph = Namespace::new();
    let graph = dgraph.open();
    let edges = |ids: std::ops::Range<u32>, step: u32| -> Vec<GraphEdge> {
        ids.step_by(step as usize).map(|id| edge("m", "paid", &format!("n{id:03}"), 1)).collect()
    };
    graph.write(&payments(0), edges(0..100, 2), Offset(1)).unwrap();
    let first = graph.neighbours("m", 20, None).unwrap();
    assert_eq!(first.items, edges(0..40, 2));
    graph.write(&payments(0), [edges(1..100, 2), vec![edge("a", "knows", "m", 1)]].concat(), Offset(2)).unwrap();
    let second = graph.neighbours("m", 70, first.cursor.as_deref()).unwrap();
    assert!(second.items == edges(39..100, 1) && second.cursor.is_none(), "{:?}", second.items);
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn rejected_edges_are_reported_and_the_rest_is_written() {
    let dgraph = Namespace::new();
    // The predicate exists already, as a string.
    let taken = format!("{}_taken", dgraph.name);
    dgraph.alter(&format!("{taken}: string ."));
    let text = format!("{{ set {{ _:x <{taken}> \"text\" . }} }}");
    dgraph.post("/mutate?commitNow=true", "application/rdf", &text);
    let graph = dgraph.open();
    let mut edges: Vec<GraphEdge> = (0..300).map(|at| edge("m", "paid", &format!("n{at:03}"), 1)).collect();
    edges[7].name = taken.clone();
    edges[8].name = "x".repeat(2_000);
    edges[9].name = String::new();
    let rejected = graph.write(&payments(0), edges.clone(), Offset(1)).unwrap();
    assert_eq!(rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [7, 8, 9]);
    assert!(rejected[0].message.contains(&taken), "{}", rejected[0].message);
    edges.drain(7..10);
    assert_eq!(graph.neighbours("m", 1_000, None).unwrap().items, edges);
    assert_position_is_stored_separately(graph.as_ref());
}

/// The position stays until it is written without edges, so that the caller can keep the refused edges before.
fn assert_position_is_stored_separately(graph: &dyn Graph) {
    assert_eq!(graph.position(&payments(0)).unwrap(), Offset(0));
    assert_eq!(graph.write(&payments(0), Vec::new(), Offset(1)).unwrap(), []);
    assert_eq!(graph.position(&payments(0)).unwrap(), Offset(1));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn refused_batches_are_halved_until_the_refused_edges_are_alone() {
    let dgraph = Namespace::new();
    let refuse = |request: &faults::Request| {
        let refused = request.path.starts_with("/mutate") && String::from_utf8_lossy(&request.body).contains("\"bad");
        let said = "{\"errors\":[{\"message\":\"cannot be\",\"extensions\":{\"code\":\"ErrorInvalidRequest\"}}],\"data\":null}";
        refused.then(|| (200, "", said.to_owned()))
    };
    let proxy = Proxy::start(&dgraph.url, Box::new(refuse));
    let graph = Dgraph::open(&Config { batch_edges: 64, ..dgraph.config(&proxy.url()) }).unwrap().graph();
    let mut edges: Vec<GraphEdge> = (0..200).map(|at| edge("m", "paid", &format!("n{at:03}"), 1)).collect();
    edges[70].target = "bad 1".to_owned();
    edges[199].target = "bad 2".to_owned();
    let rejected = graph.write(&payments(0), edges.clone(), Offset(1)).unwrap();
    assert_eq!(rejected.iter().map(|rejected| rejected.index).collect::<Vec<_>>(), [70, 199]);
    assert!(rejected[0].message.contains("to 'bad 1': cannot be"), "{}", rejected[0].message);
    edges.remove(199);
    edges.remove(70);
    assert_eq!(dgraph.open().neighbours("m", 1_000, None).unwrap().items, edges);
    assert_position_is_stored_separately(graph.as_ref());
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_dgraph_that_refuses_everything_loses_no_edge() {
    let dgraph = Namespace::new();
    let refuse = |request: &faults::Request| {
        let said = "{\"errors\":[{\"message\":\"read only\"}],\"data\":null}";
        request.path.starts_with("/mutate").then(|| (200, "", said.to_owned()))
    };
    let proxy = Proxy::start(&dgraph.url, Box::new(refuse));
    let graph = dgraph.open_at(&proxy.url());
    dgraph.open().write(&payments(1), vec![edge("m", "paid", "n", 1)], Offset(1)).unwrap();
    let error = graph.write(&payments(0), vec![edge("m", "paid", "n", 2)], Offset(1)).unwrap_err();
    assert!(matches!(&error, StoreError::Broken { .. }) && error.to_string().contains("read only"), "{error}");
    assert_eq!(graph.position(&payments(0)).unwrap(), Offset(0));
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn overload_is_retried_and_transient_failures_are_unavailable() {
    let dgraph = Namespace::new();
    let retry = "{\"errors\":[{\"message\":\"Please retry again, server is not ready to accept requests\"}]}";
    let proxy = Proxy::with_faults(&dgraph.url, [(503, "", String::new()), (429, "retry-after: 0\r\n", String::new())]);
    let graph = dgraph.open_at(&proxy.url());
    graph.write(&payments(0), vec![edge("m", "paid", "n", 2)], Offset(1)).unwrap();
    let proxy = Proxy::start(&dgraph.url, Box::new(|_| Some((200, "", retry.to_owned()))));
    let graph = dgraph.open_at(&proxy.url());
    let error = graph.write(&payments(0), vec![], Offset(2)).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn a_dropped_schema_is_applied_again() {
    let dgraph = Namespace::new();
    let graph = dgraph.open();
    graph.write(&payments(0), vec![edge("m", "paid", "n", 2)], Offset(1)).unwrap();
    dgraph.clear();
    // The first call may fail, which makes the adapter apply the schema again; a sink repeats its calls.
    let write = || graph.write(&payments(0), vec![edge("m", "paid", "n", 3)], Offset(2));
    write().or_else(|_| write()).unwrap();
    assert_eq!(graph.neighbours("m", 10, None).unwrap().items, [edge("m", "paid", "n", 3)]);
}

#[test]
fn an_unreachable_server_is_an_error_with_its_address() {
    // The listener is dropped at once, so nothing answers on this port.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let started = Instant::now();
    let graph = Dgraph::open(&Config::new(&format!("http://{address}"))).unwrap().graph();
    let error = graph.position(&payments(0)).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert!(matches!(error, StoreError::Unavailable { .. }));
    let text = error.to_string();
    assert!(text.contains(&address.to_string()) && text.contains("is Dgraph running there?"), "{text}");
}

#[test]
#[ignore = "needs servers: cargo xtask test --servers"]
fn throughput() {
    let dgraph = Namespace::new();
    let graph = dgraph.open();
    let edges = |round: u64, time: i64| -> Vec<GraphEdge> {
        let one = |at: u64| edge(&format!("card-{}", at * 7 % 5_000), "paid", &format!("shop-{}", at % 200), time);
        (round * 5_000..(round + 1) * 5_000).map(one).collect()
    };
    let mut next = 0;
    for (what, time) in [("new edges", 1), ("later edges", 2), ("edges that are there", 2)] {
        let started = Instant::now();
        for round in 0..4 {
            next += 1;
            graph.write(&payments(0), edges(round, time), Offset(next)).unwrap();
        }
        println!("{what}: {:.0}/s", 20_000.0 / started.elapsed().as_secs_f64());
    }
    // A hub: every edge of one shop.
    let hub: Vec<GraphEdge> = (0..100_000).map(|at| edge(&format!("c{at:06}"), "paid", "hub", 1)).collect();
    let started = Instant::now();
    graph.write(&payments(1), hub, Offset(1)).unwrap();
    println!("edges of one hub: {:.0}/s", 100_000.0 / started.elapsed().as_secs_f64());
    let started = Instant::now();
    let page = graph.neighbours("hub", 100, None).unwrap();
    println!("the first page of 100,000 edges: {:?}", started.elapsed());
    let started = Instant::now();
    let page = graph.neighbours("hub", 100, page.cursor.as_deref()).unwrap();
    println!("the second: {:?}", started.elapsed());
    assert_eq!(page.items[0].source, "c000100");
}
