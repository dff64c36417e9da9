//! temporary
use mcp::*;
use serde_json::json;
#[expect(clippy::print_stdout, reason = "a tool for the terminal")]
#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let url = std::env::args().nth(1).unwrap();
    let port: u16 = url
        .split(':')
        .nth(2)
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let outbound =
        outbound::Client::new(outbound::Policy::public().allow_loopback_ports([port])).unwrap();
    let mut endpoint = Endpoint::new(&url).header("authorization", "Bearer x".to_owned());
    endpoint.timeouts.resume = std::time::Duration::from_millis(200);
    endpoint.timeouts.call = std::time::Duration::from_secs(6);
    let client = Client::new(outbound.clone(), endpoint.clone()).unwrap();
    println!("session {:?}", client.connect().await);
    match client.list_tools().await {
        Ok(list) => {
            for t in &list.tools {
                println!(
                    "tool {} {:?} {:?}",
                    t.name, t.annotations, t.parameter_headers
                );
            }
            println!("skipped {:?} fresh {:?}", list.skipped, list.fresh_for);
        }
        Err(e) => println!("list: {e} {} {e:?}", e.code()),
    }
    for (name, args) in [
        ("add", json!({"a": 1, "b": 2})),
        ("boom", json!({})),
        ("picture", json!({})),
        ("slow", json!({"seconds": 1})),
        ("ask", json!({})),
        ("nothere", json!({})),
        ("add", json!({"a": "x"})),
    ] {
        let options = CallOptions {
            idempotency_key: Some("k1".into()),
            ..CallOptions::default()
        };
        match client.call_tool(name, &args, options).await {
            Ok(r) => println!("{name}: {:?} {:?} {}", r.text(), r.structured, r.is_error),
            Err(e) => println!(
                "{name}: ERR {e} code={} safe={} transient={}",
                e.code(),
                e.is_retry_safe(),
                e.is_transient()
            ),
        }
    }
    let options = CallOptions {
        timeout: Some(std::time::Duration::from_millis(500)),
        ..CallOptions::default()
    };
    println!(
        "{:?}",
        client
            .call_tool("slow", &json!({"seconds": 5}), options)
            .await
            .map_err(|e| (e.to_string(), e.is_retry_safe()))
    );
    let session = client.session().await.unwrap();
    let kept = serde_json::to_string(&session).unwrap();
    let resumed = Client::resume(
        outbound.clone(),
        endpoint.clone(),
        serde_json::from_str(&kept).unwrap(),
    )
    .unwrap();
    println!(
        "resumed {:?}",
        resumed
            .call_tool("add", &json!({"a": 5, "b": 6}), CallOptions::default())
            .await
            .map(|r| r.text())
    );
    resumed.close().await;
    let again = Client::resume(outbound, endpoint, session).unwrap();
    println!(
        "after close {:?}",
        again
            .call_tool("add", &json!({"a": 7, "b": 8}), CallOptions::default())
            .await
            .map(|r| r.text())
    );
    again.close().await;
}
