use std::time::Instant;
fn go(name: &'static str, src: String, stack: usize) {
    let t = std::thread::Builder::new().stack_size(stack).spawn(move || {
        let t = Instant::now();
        let r = cel::Env::default().with_optional_support(false).parser().parse_with_source_info(&src);
        let d = t.elapsed();
        match r { Ok((e, _)) => { println!("{name} {} ok {d:?}", src.len()); drop(e);} Err(e) => println!("{name} {} {d:?}: {}", src.len(), e.errors.iter().map(|e| format!("{:?} {}", e.pos, e.msg)).collect::<Vec<_>>().join(" | ").chars().take(600).collect::<String>()) }
    }).unwrap();
    let r = t.join();
    if r.is_err() { println!("{name} PANIC"); }
}
#[test]
fn probe() {
    let kb: usize = std::env::var("KB").unwrap_or("2048".into()).parse().unwrap();
    let n: usize = std::env::var("N").unwrap_or("64".into()).parse().unwrap();
    let which = std::env::var("W").unwrap_or_default();
    let st = kb * 1024;
    let cases: Vec<(&'static str, String)> = vec![
        ("warm", "a > 1.0 && b != 'x'".into()),
        ("paren", "(".repeat(n) + "a" + &")".repeat(n)),
        ("list", "[".repeat(n) + "a" + &"]".repeat(n)),
        ("map", "{1:".repeat(n) + "a" + &"}".repeat(n)),
        ("call", "f(".repeat(n) + "a" + &")".repeat(n)),
        ("index", "a[".repeat(n) + "a" + &"]".repeat(n)),
        ("parenplus", "(1+".repeat(n) + "a" + &")".repeat(n)),
        ("plus", "a".to_string() + &"+a".repeat(n)),
        ("lt", "a".to_string() + &"<a".repeat(n)),
        ("and", "a".to_string() + &"&&a".repeat(n)),
        ("select", "a".to_string() + &".a".repeat(n)),
        ("method", "a".to_string() + &".a()".repeat(n)),
        ("not", "!".repeat(n) + "a"),
        ("neg", "-".repeat(n) + "a"),
        ("tern", "a?b:".repeat(n) + "a"),
        ("tern2", "a?".repeat(n) + "a" + &":b".repeat(n)),
        ("open", "(".repeat(n)),
        ("opens", "((a+".repeat(n)),
        ("bigin", "a in [".to_string() + &"1,".repeat(n) + "1]"),
        ("e1", "amount >".into()), ("e2", "amount > 'x".into()), ("e3", "a # b".into()), ("e4", "é".into()), ("e5", "'é' + amout + #".into()),
        ("e6", "a b".into()), ("e7", "a = b".into()), ("e8", "if + 1".into()), ("e9", "f(a,)".into()), ("e10", "".into()), ("e11", "9999999999999999999".into()), ("e12", "(a".into()), ("e13", "a)".into()), ("e14", "a and b".into()), ("e15", "a & b".into()), ("e16", "1e999".into()), ("e17", "'\\q'".into()), ("e18", "a.?b".into()), ("e19", "a +\n\n * 2".into()), ("e20", "\"\u{0}".into()), ("e21", "a\n  && (b".into()),("e22","x ? 1".into()),("e23","a.1".into()), ("e24", "1u + 1".into()), ("e25", "`a`".into()), ("e26", "a.`b`".into()),
    ];
    for (n, s) in cases { if which.is_empty() || which.split(',').any(|w| w == n) { go(n, s, st); } }
}
