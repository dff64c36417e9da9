#![allow(clippy::all, clippy::allow_attributes, clippy::allow_attributes_without_reason, clippy::print_stdout)]
use aws_sdk_dynamodb::types::*;
use embedded::*;
use std::collections::HashMap;
use std::time::*;
fn s(v: impl Into<String>) -> AttributeValue { AttributeValue::S(v.into()) }
fn it(pk: &str, sk: &str, n: usize) -> HashMap<String, AttributeValue> {
    HashMap::from([("pk".into(), s(pk)), ("sk".into(), s(sk)), ("data".into(), s("x".repeat(n)))])
}
fn pct(mut v: Vec<Duration>) -> String { v.sort(); format!("n={} p50={:?} p95={:?} max={:?}", v.len(), v[v.len()/2], v[v.len()*95/100], v[v.len()-1]) }
#[tokio::main]
async fn main() {
    let dir = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let n: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let t = Instant::now();
    let sv = Services::start(Options::folder(&dir)).await.unwrap();
    println!("start {:?}", t.elapsed());
    let c = &sv.clients().dynamodb;
    let names = TableNames::default();
    let t = Instant::now();
    create_tables(c, &names).await.unwrap();
    println!("tables {:?}", t.elapsed());
    for (label, table) in [("core", &names.core), ("log", &names.log)] {
        let mut v = vec![];
        for i in 0..200 { let t = Instant::now(); c.put_item().table_name(table).set_item(Some(it("A", &format!("{i}"), 600))).send().await.unwrap(); v.push(t.elapsed()); }
        println!("put {label} {}", pct(v));
    }
    let mut v = vec![];
    for i in 0..200 { let t = Instant::now(); c.get_item().table_name(&names.core).key("pk", s("A")).key("sk", s(format!("{i}"))).send().await.unwrap(); v.push(t.elapsed()); }
    println!("get {}", pct(v));
    let mut v = vec![];
    for i in 0..200 { let t = Instant::now();
        let p = |tb: &str| TransactWriteItem::builder().put(Put::builder().table_name(tb).set_item(Some(it("T", &format!("{i}"), 300))).build().unwrap()).build();
        c.transact_write_items().transact_items(p(&names.core)).transact_items(p(&names.log)).transact_items(p(&names.work)).send().await.unwrap(); v.push(t.elapsed()); }
    println!("transact3 {}", pct(v));
    // concurrency
    let t = Instant::now();
    let tasks: Vec<_> = (0..16).map(|k| { let c = c.clone(); let tb = names.core.clone(); tokio::spawn(async move { for i in 0..50 { c.put_item().table_name(&tb).set_item(Some(it(&format!("P{k}"), &format!("{i}"), 300))).send().await.unwrap(); } }) }).collect();
    for x in tasks { x.await.unwrap(); }
    println!("16x50 puts {:?}", t.elapsed());
    // fill the log
    let t = Instant::now();
    for b in 0..n/25 {
        let reqs: Vec<_> = (0..25).map(|i| WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(it("F", &format!("{b}-{i}"), 600))).build().unwrap()).build()).collect();
        c.batch_write_item().request_items(&names.log, reqs).send().await.unwrap();
    }
    println!("fill {n} {:?}", t.elapsed());
    let mut v = vec![];
    for i in 0..100 { let t = Instant::now(); c.put_item().table_name(&names.log).set_item(Some(it("B", &format!("{i}"), 600))).send().await.unwrap(); v.push(t.elapsed()); }
    println!("put log after fill {}", pct(v));
    let mut st = sv.log_stream(&names.log, "perf").await.unwrap().with_batch_size(1000);
    let t = Instant::now(); let mut k = 0; 
    while k < n { let b = st.next().await.unwrap(); k += b.event.records.len(); st.settle(&Default::default()).await.unwrap(); }
    println!("followed {k} in {:?}", t.elapsed());
    // vectors
    let t = Instant::now();
    for b in 0..2000/25 {
        let reqs: Vec<_> = (0..25).map(|i| { let mut x = it("ORG", &format!("{b}-{i}"), 800); x.insert("org".into(), s("o")); x.insert("knowledge_base".into(), s("k"));
            x.insert("embedding".into(), AttributeValue::L((0..256).map(|d| AttributeValue::N((((b*25+i)*31+d*17) as f32).sin().to_string())).collect()));
            WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(x)).build().unwrap()).build() }).collect();
        c.batch_write_item().request_items(&names.knowledge, reqs).send().await.unwrap();
    }
    println!("2000 chunks {:?}", t.elapsed());
    let mut v = vec![];
    for i in 0..20 { let t = Instant::now();
        c.search_vectors().table_name(&names.knowledge).index_name("chunks").set_search_vector(Some((0..256).map(|d| AttributeValue::N((((i)*31+d*17) as f32).sin().to_string())).collect())).search_condition_expression("org = :o").expression_attribute_values(":o", s("o")).top_k(10).send().await.unwrap(); v.push(t.elapsed()); }
    println!("search 2000 {}", pct(v));
    let q = create_queues(&sv.clients().sqs, &[QueueSpec::new("files", Duration::from_secs(30))]).await.unwrap();
    let src = QueueSource::new(&sv.clients().sqs, &q[0].url, 10).await.unwrap();
    let mut v = vec![];
    for _ in 0..20 { let s2 = src.clone(); let h = tokio::spawn(async move { s2.poll().await.unwrap(); Instant::now() }); tokio::time::sleep(Duration::from_millis(130)).await;
        let t = Instant::now(); sv.clients().sqs.send_message().queue_url(&q[0].url).message_body("x").send().await.unwrap(); v.push(h.await.unwrap() - t); }
    println!("doorbell {}", pct(v));
    let t = Instant::now(); sv.shutdown().await; println!("shutdown {:?}", t.elapsed());
}
