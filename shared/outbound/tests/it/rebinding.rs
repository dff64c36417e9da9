//! DNS rebinding: a name that answers one thing when it is checked and another when it is dialled.

use std::sync::Arc;

use crate::support::{ScriptedLookup, Server, get, response};
use futures::FutureExt;
use outbound::{Client, OutboundError, Policy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The connection goes to the address of the first answer. The second answer, which the filter
/// would have to refuse, is not asked for while that connection is made; the next request asks
/// anew, is judged anew, and reaches nobody.
#[tokio::test]
async fn a_connection_is_pinned_to_the_answer_that_was_checked() {
    let server = Server::fixed(response("200 OK", "", "pinned")).await;
    let lookup = Arc::new(ScriptedLookup::default().with(
        "localhost",
        &[&["127.0.0.1"], &["10.0.0.1"], &["127.0.0.1"]],
    ));
    let policy = Policy::public().allow_loopback_ports([server.port()]);
    let client = Client::with_lookup(policy, lookup.clone()).expect("a client");
    let url = format!("http://localhost:{}/", server.port());

    let reply = client
        .call(get(&url))
        .await
        .expect("the first answer is fine");
    assert_eq!(reply.body, "pinned");
    assert_eq!(
        (lookup.times_asked("localhost"), server.connections()),
        (1, 1)
    );

    let error = client
        .call(get(&url))
        .await
        .expect_err("the second answer is private");
    assert!(
        matches!(error, OutboundError::ResolvedAddressNotAllowed { .. }),
        "{error:?}"
    );
    assert!(!error.may_have_been_sent());
    assert_eq!(
        (lookup.times_asked("localhost"), server.connections()),
        (2, 1)
    );

    client.call(get(&url)).await.expect("a good answer again");
    assert_eq!(
        (lookup.times_asked("localhost"), server.connections()),
        (3, 2)
    );
}

/// A connection is never kept for a later request, which would be younger than the check.
#[tokio::test]
async fn each_request_opens_and_checks_its_own_connection() {
    let server = Server::start(|mut socket| {
        async move {
            let mut buffer = [0_u8; 4096];
            loop {
                let reply = response("200 OK", "connection: keep-alive\r\n", "ok");
                if socket.write_all(reply.as_bytes()).await.is_err() {
                    return;
                }
                // Stays ready for a next request on the same connection.
                if !matches!(socket.read(&mut buffer).await, Ok(1..)) {
                    return;
                }
            }
        }
        .boxed()
    })
    .await;
    let lookup = Arc::new(ScriptedLookup::default().with("localhost", &[&["127.0.0.1"]]));
    let policy = Policy::public().allow_loopback_ports([server.port()]);
    let client = Client::with_lookup(policy, lookup.clone()).expect("a client");
    let url = format!("http://localhost:{}/", server.port());
    for _ in 0..5 {
        client.call(get(&url)).await.expect("a reply");
    }
    assert_eq!(
        (lookup.times_asked("localhost"), server.connections()),
        (5, 5)
    );
}

/// A literal is dialled without asking the resolver, which therefore must not be what protects it.
#[tokio::test]
async fn literals_are_judged_without_the_resolver() {
    let lookup = Arc::new(ScriptedLookup::default().with("127.0.0.1", &[&["93.184.215.14"]]));
    let client = Client::with_lookup(Policy::public(), lookup.clone()).expect("a client");
    let error = client
        .send(get("http://127.0.0.1/"))
        .await
        .expect_err("loopback");
    assert!(
        matches!(error, OutboundError::AddressNotAllowed { .. }),
        "{error:?}"
    );
    assert_eq!(lookup.times_asked("127.0.0.1"), 0);
}
