//! Lists and maps of events, and the macros over them: their values and their bounds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at what it did not expect")]

mod expr_events;

use expr_events::Events;
use serde_json::{Value as Json, json};

fn fields() -> Json {
    let product = json!({ "type": "record", "name": "Product", "fields": [
        { "name": "name", "type": "string" },
        { "name": "weight", "type": ["null", "double"], "default": null }] });
    let item = json!({ "type": "record", "name": "Item", "fields": [
        { "name": "price", "type": ["null", "double"], "default": null },
        { "name": "category", "type": "string" },
        { "name": "product", "type": ["null", product], "default": null },
        { "name": "raw", "type": "bytes", "default": "" }] });
    json!([
        { "name": "country", "type": "string" },
        { "name": "limit", "type": ["null", "double"], "default": null },
        { "name": "items", "type": { "type": "array", "items": ["null", item] }, "default": [] },
        { "name": "tags", "type": ["null", { "type": "array", "items": "string" }], "default": null },
        { "name": "counts", "type": { "type": "array", "items": ["null", "long"] }, "default": [] },
        { "name": "labels", "type": { "type": "map", "values": ["null", "string"] }, "default": {} },
        { "name": "text", "type": "string", "default": "" }])
}

/// Three events: one with all values, one with none, and one with nulls in its lists.
fn events() -> Events {
    Events::new(
        &fields(),
        &[
            json!({ "country": "DE", "limit": 50.0, "tags": ["new", "vip"], "counts": [3, 1, 2],
                    "labels": { "a": "x", "b": "y" }, "text": "a,b,,c",
                    "items": [{ "price": 10.0, "category": "DE", "product": { "name": "pen", "weight": 0.5 } },
                              { "price": 90.0, "category": "AT", "product": { "name": "bag" } },
                              { "price": 60.0, "category": "DE" }] }),
            json!({ "country": "AT" }),
            json!({ "country": "FR", "limit": 1.0, "tags": [], "counts": [null, 5], "labels": { "a": null },
                    "items": [{ "category": "FR" }, null, { "price": 2.0, "category": "US" }] }),
        ],
    )
}

#[test]
fn sizes_and_items_of_lists_and_maps() {
    events().check(&[
        ("size(items)", "3 | 0 | 3"),
        ("tags.size()", "2 | - | 0"),
        ("size(labels)", "2 | 0 | 1"),
        ("items[0].price", "10.0 | - | -"),
        ("items[2].price", "60.0 | - | 2.0"),
        ("items[3].price", "- | - | -"),
        ("items[-1].category", "- | - | -"),
        ("items[counts[1]].category", "'AT' | - | -"),
        ("items[0].product.name", "'pen' | - | -"),
        ("items[1].product.weight", "- | - | -"),
        ("counts[0] + 1", "4 | - | -"),
        ("tags[0]", "'new' | - | -"),
        ("labels['a']", "'x' | - | -"),
        ("labels.b", "'y' | - | -"),
        ("labels[country]", "- | - | -"),
        ("has(labels.a)", "true | false | false"),
        ("'a' in labels", "true | false | true"),
        ("has(items[1].price)", "true | false | false"),
        ("has(tags)", "true | false | true"),
        ("has(tags[1])", "true | false | false"),
        ("tags", "['new', 'vip'] | - | []"),
        ("counts", "[3, 1, 2] | [] | [-, 5]"),
        ("labels", "[('a', 'x'), ('b', 'y')] | [] | [('a', -)]"),
        ("[country, 'x'][0]", "'DE' | 'AT' | 'FR'"),
    ]);
}

#[test]
fn functions_of_lists_give_values_per_event() {
    events().check(&[
        ("'vip' in tags", "true | - | false"),
        ("!('vip' in tags)", "false | - | true"),
        ("5 in counts", "false | false | true"),
        ("null in counts", "false | false | true"),
        ("country in items.map(i, i.category)", "true | false | true"),
        ("sum(counts)", "6 | 0 | 5"),
        ("min(counts)", "1 | - | 5"),
        ("counts.max()", "3 | - | 5"),
        ("sum(items.map(i, i.price))", "160.0 | 0.0 | 2.0"),
        ("tags.join('+')", "'new+vip' | - | ''"),
        ("items.map(i, i.category).join()", "'DEATDE' | '' | -"),
        ("text.split(',')", "['a', 'b', '', 'c'] | [''] | ['']"),
        ("text.split(',', 2)", "['a', 'b,,c'] | [''] | ['']"),
        ("size(text.split(''))", "6 | 0 | 0"),
        ("tags == ['new', 'vip']", "true | - | false"),
        ("counts != [null, 5]", "true | true | false"),
        ("tags + ['x']", "['new', 'vip', 'x'] | - | ['x']"),
        ("counts + counts.map(c, c * 2)", "[3, 1, 2, 6, 2, 4] | [] | [-, 5, -, 10]"),
    ]);
}

#[test]
fn macros_follow_three_valued_logic() {
    events().check(&[
        ("items.exists(i, i.price > 50.0)", "true | false | -"),
        ("items.exists(i, i.price > 1.0)", "true | false | true"),
        ("items.exists(i, i.price > 50.0 && i.category == country)", "true | false | -"),
        ("items.exists(i, i.price > limit)", "true | false | true"),
        ("items.all(i, i.price > 5.0)", "true | true | false"),
        ("items.all(i, i.price > 1.0)", "true | true | -"),
        ("items.exists_one(i, i.category == country)", "false | false | -"),
        ("items.exists_one(i, coalesce(i.category, '') == country)", "false | false | true"),
        ("items.existsOne(i, coalesce(i.price, 0.0) > 80.0)", "true | false | false"),
        ("tags.exists(t, t == 'vip')", "true | - | false"),
        ("tags.all(t, t == 'vip')", "false | - | true"),
        ("size(items.filter(i, i.price > 50.0))", "2 | 0 | 0"),
        ("items.filter(i, i.price > 50.0)[0].category", "'AT' | - | -"),
        ("items.filter(i, i.price < 50.0).map(i, i.category)", "['DE'] | [] | ['US']"),
        ("items.map(i, i.price > 50.0, i.product.name)", "['bag', -] | [] | []"),
        ("items.map(i, i.price * 2)", "[20.0, 180.0, 120.0] | [] | [-, -, 4.0]"),
        ("items.map(i, i.price).exists(p, p == 90.0)", "true | false | -"),
        ("labels.exists(k, k == 'b')", "true | false | false"),
        ("labels.map(k, k + country)", "['aDE', 'bDE'] | [] | ['aFR']"),
        ("labels.all(k, has(labels[k]))", "true | true | false"),
        ("items.exists(i, has(i.product.weight))", "true | false | false"),
        ("exists(items, i, i.category == 'US')", "false | false | true"),
        ("items.exists(country, country.price == 90.0)", "true | false | -"),
        ("items.exists(i, true)", "true | false | true"),
        ("text.split(',').exists(part, part == country || part == 'c')", "true | false | false"),
        ("[1, 2, 3].filter(n, n > size(tags)).map(n, n * 10)", "[30] | [] | [10, 20, 30]"),
        ("[country, 'DE'].all(c, c == 'DE')", "true | false | false"),
    ]);
}

#[test]
fn nested_macros_see_the_variables_around_them() {
    events().check(&[
        ("items.exists(i, tags.exists(t, t == 'vip' && i.price == 90.0))", "true | false | false"),
        ("tags.exists(t, items.exists(i, i.category == country))", "true | - | false"),
        ("items.map(i, size(items.filter(j, j.price < i.price)))", "[0, 2, 1] | [] | [0, 0, 0]"),
        ("items.all(i, items.exists(j, j.category == i.category))", "true | true | -"),
        ("counts.map(a, sum(counts.map(b, a * b)))", "[18, 6, 12] | [] | [0, 25]"),
        ("[1, 2].exists(a, [1, 2].exists(b, [3, 4].exists(c, a + b == c && a == b)))", "true | true | true"),
        ("items.exists(i, i.category == [country, 'x'].filter(c, c != 'DE')[0])", "false | false | true"),
    ]);
}

#[test]
fn mistakes_have_a_message_with_advice() {
    let events = events();
    let table = [
        (
            "items[0]",
            "an item with parts is no value; name one of them, such as price, category, product.name, product.weight",
        ),
        (
            "items.exists(i, i == null)",
            "an item with parts is no value; name one of them, such as price, category, product.name, product.weight",
        ),
        ("items[0].prize", "its items have no 'prize'; did you mean 'price'?"),
        ("items.exists(i, i.prize > 1.0)", "its items have no 'prize'; did you mean 'price'?"),
        (
            "items.exists(i, i.raw == '')",
            "its items have no 'raw'; known are category, price, product.name, product.weight",
        ),
        ("items.price", "'items' is a list; name one of its items, as in items[0].price"),
        ("tags.exists(t, t)", "expected bool, found string"),
        ("tags.exists(t)", "exists() takes 3 arguments, found 2"),
        ("tags.exists('t', true)", "the first argument of exists() names the item, as in items.exists(item, ...)"),
        ("country.exists(c, true)", "exists() takes a list or a map, found string"),
        ("tags[country]", "expected int, found string"),
        ("labels[0]", "expected string, found int"),
        ("country[0]", "only lists and maps have items, this is string"),
        ("tags.map(t, tags)", "map() makes no lists of lists; map to a value"),
        ("labels.filter(k, true)", "filter() of a map is not supported; map its keys first"),
        ("[tags]", "lists of lists are not supported"),
        ("[]", "a list without a value has no type"),
        ("sum(tags)", "sum() of one argument takes a list of numbers, found list(string)"),
        ("1 in tags", "expected string, found int"),
        ("country in items", "'in' does not look into list(record)"),
        ("items == items", "'==' does not compare list(record) with list(record)"),
        ("true ? tags : tags", "choosing between values of type list(string) is not supported"),
        (
            "[1].exists(a, [1].exists(b, [1].exists(c, [1].exists(d, [1].exists(e, true)))))",
            "at most 4 macros may stand in one another",
        ),
        (
            "t == 'a' || tags.exists(t, true)",
            "unknown name 't'; known are country, counts, items, labels, limit, tags, text",
        ),
    ];
    for (source, expected) in table {
        assert_eq!(events.values(source), Err(expected.to_owned()), "{source}");
    }
}

/// So many rows with lists that the body of a macro is evaluated in several chunks.
#[test]
fn long_batches_give_the_same_as_single_events() {
    let event = |n: usize| {
        let items: Vec<Json> =
            (0..n % 23).map(|i| json!({ "price": i as f64, "category": (["DE", "AT"][i % 2]) })).collect();
        let tags =
            if n.is_multiple_of(7) { Json::Null } else { json!((0..n % 5).map(|t| t.to_string()).collect::<Vec<_>>()) };
        json!({ "country": (["DE", "AT"][n % 2]), "limit": (n % 11) as f64, "items": items, "tags": tags })
    };
    let all: Vec<Json> = (0..900).map(event).collect();
    let whole = Events::new(&fields(), &all);
    for source in [
        "items.exists(i, i.price > limit && i.category == country)",
        "items.all(i, i.price < limit)",
        "size(items.filter(i, i.price > limit))",
        "items.map(i, i.price > limit, i.category + country)",
        "items.filter(i, i.price > limit).exists_one(j, j.category == country)",
        "items.exists(i, tags.exists(t, double(t) == i.price && i.category == country))",
        "items.map(i, size(tags.filter(t, t != country)))",
        "tags.map(t, items.map(i, i.category).join(t).size())",
    ] {
        let together = whole.values(source).unwrap();
        for (n, event) in all.iter().enumerate().step_by(17) {
            let alone = Events::new(&fields(), std::slice::from_ref(event)).values(source).unwrap();
            assert_eq!(together[n], alone[0], "{source} of event {n}");
        }
    }
}

/// A list in which each item of another is looked up is put into a set once, for all types of items.
#[test]
fn long_lists_are_searched_like_short_ones() {
    let event = |n: i64| {
        let tags: Vec<String> = (0..n).map(|tag| format!("t{tag}")).collect();
        let counts: Vec<Json> = (0..n).map(|count| if count == 3 { Json::Null } else { json!(count * 2) }).collect();
        json!({ "country": "t7", "tags": tags, "counts": counts })
    };
    for n in [10, 50] {
        Events::new(&fields(), &[event(n), event(n + 1)]).check(&[
            (
                "[7, 8, 100].map(x, x in counts)",
                if n == 10 {
                    "[false, true, false] | [false, true, false]"
                } else {
                    "[false, true, false] | [false, true, true]"
                },
            ),
            ("counts.all(c, c in counts)", "true | true"),
            ("['t1', 't9', country, 'x'].map(x, x in tags)", "[true, true, true, false] | [true, true, true, false]"),
            (
                "[0.0, -0.0, 4.0, 5.0, 0.0 / 0.0].map(x, x in counts.map(c, double(c)))",
                "[true, true, true, false, false] | [true, true, true, false, false]",
            ),
        ]);
    }
}

/// The work of a macro for one event is bounded. Above the bound the value is missing for that event alone.
#[test]
fn macros_above_their_bounds_are_missing() {
    let many = |n: usize| json!({ "country": "x".repeat(500), "counts": vec![1; n] });
    let events = Events::new(&fields(), &[many(300), many(200), many(1)]);
    events.check(&[
        ("counts.exists(a, counts.exists(b, b == a + 1))", "- | false | false"),
        ("counts.all(a, counts.all(b, b == a))", "- | true | true"),
        // A macro that does not depend on the item is hoisted, so it is not nested.
        ("counts.exists(a, counts.exists(b, b == 2))", "false | false | false"),
        ("counts.exists(a, a == 1 || counts.exists(b, b == a + 1))", "true | true | true"),
        ("size(counts.map(c, country + country))", "- | 200 | 1"),
    ]);
    let long = json!({ "country": "DE", "text": "x".repeat(70_000) });
    let short = json!({ "country": "DE", "text": "x" });
    let events = Events::new(&fields(), &[long, short]);
    events.check(&[
        ("size(text.split(''))", "- | 1"),
        ("[1].exists(n, text == string(n))", "- | false"),
        ("size([text][0])", "- | 1"),
        ("size(text.replace('x', 'xx'))", "- | 2"),
    ]);
}
