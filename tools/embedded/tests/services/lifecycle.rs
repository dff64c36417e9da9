//! Starting, stopping, and what survives.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use embedded::{Clients, Endpoints, Options, Services, StartError, create_bucket, create_tables};

use crate::support::{get, item, number, put, tables};

async fn start(folder: &std::path::Path) -> Services {
    Services::start(Options::folder(folder))
        .await
        .expect("started")
}

#[tokio::test]
async fn items_and_objects_survive_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let services = start(folder.path()).await;
    let names = tables(&services).await;
    put(
        &services,
        &names.core,
        item("ORG#1", "ORG#1", &[("name", "kept")]),
    )
    .await;
    let s3 = services.clients().s3.clone();
    create_bucket(&s3, "files").await.expect("a bucket");
    let stored = s3
        .put_object()
        .bucket("files")
        .key("a/b")
        .content_type("text/plain");
    let stored = stored.body(ByteStream::from_static(b"kept")).send().await;
    stored.expect("stored");
    let old = services.endpoints().clone();
    services.shutdown().await;

    for url in [&old.dynamodb, &old.s3, &old.sqs] {
        let address = url.trim_start_matches("http://");
        let refused = tokio::net::TcpStream::connect(address).await;
        assert!(refused.is_err(), "{url} still listens");
    }
    let log = folder.path().join("dynamodb.sqlite-wal");
    assert!(!log.exists(), "the database was closed");

    let services = start(folder.path()).await;
    tables(&services).await;
    let kept = get(&services, &names.core, "ORG#1", "ORG#1").await;
    assert_eq!(kept.expect("kept")["name"].as_s().expect("text"), "kept");
    let s3 = &services.clients().s3;
    create_bucket(s3, "files").await.expect("it is there");
    let object = s3.get_object().bucket("files").key("a/b").send().await;
    let object = object.expect("kept");
    assert_eq!(object.content_type(), Some("text/plain"));
    assert_eq!(object.body.collect().await.expect("read").to_vec(), b"kept");
}

#[tokio::test]
async fn services_in_memory_begin_empty_and_do_not_meet() {
    let (first, names) = crate::support::services().await;
    let (second, _) = crate::support::services().await;
    put(&first, &names.core, item("ORG#1", "ORG#1", &[])).await;
    assert!(get(&second, &names.core, "ORG#1", "ORG#1").await.is_none());
    first.shutdown().await;
    put(&second, &names.core, item("ORG#2", "ORG#2", &[])).await;
}

#[tokio::test]
async fn a_folder_serves_one_host_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let services = start(folder.path()).await;
    let refused = Services::start(Options::folder(folder.path())).await;
    let message = refused.expect_err("locked").to_string();
    assert_eq!(
        message,
        format!(
            "the data folder {} is in use by this process ({}); stop it, or choose another folder",
            folder.path().display(),
            std::process::id()
        )
    );
    services.shutdown().await;
    start(folder.path()).await.shutdown().await;
}

#[tokio::test]
async fn a_damaged_folder_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("dynamodb.sqlite");
    std::fs::write(&database, "not a database, but a letter".repeat(100)).expect("written");
    let refused = Services::start(Options::folder(folder.path())).await;
    let error = refused.expect_err("damaged");
    assert!(matches!(&error, StartError::Corrupt { path, .. } if *path == database));
    assert!(error.to_string().contains("is damaged"), "{error}");
}

#[tokio::test]
async fn damage_inside_the_database_is_found_at_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let services = start(folder.path()).await;
    let names = tables(&services).await;
    for n in 0..50 {
        let filler = "x".repeat(4000);
        put(
            &services,
            &names.core,
            item("FILL", &n.to_string(), &[("data", &filler)]),
        )
        .await;
    }
    services.shutdown().await;
    let database = folder.path().join("dynamodb.sqlite");
    let mut bytes = std::fs::read(&database).expect("read");
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 8192].fill(0xFF);
    std::fs::write(&database, bytes).expect("written");
    let refused = Services::start(Options::folder(folder.path())).await;
    assert!(
        matches!(refused, Err(StartError::Corrupt { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a-file");
    std::fs::write(&file, "").expect("written");
    let refused = Services::start(Options::folder(&file)).await;
    assert!(
        matches!(refused, Err(StartError::Folder { .. })),
        "{refused:?}"
    );
}

/// The services in a process of their own, killed when dropped.
struct Process {
    child: Child,
    endpoints: serde_json::Value,
}

impl Process {
    fn start(folder: &std::path::Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_embedded"))
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = child.stdout.take().expect("its output");
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).expect("a line");
        let endpoints = serde_json::from_str(&line).expect("addresses");
        Self { child, endpoints }
    }

    fn clients(&self) -> Clients {
        let get = |name: &str| self.endpoints[name].as_str().expect(name).to_owned();
        Clients::new(&Endpoints {
            dynamodb: get("dynamodb"),
            s3: get("s3"),
            sqs: get("sqs"),
            region: get("region"),
            access_key_id: get("access_key_id"),
            secret_access_key: get("secret_access_key"),
        })
    }

    /// As `kill -9` does.
    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_a_kill_is_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut process = Process::start(folder.path());
    let clients = process.clients();
    let names = embedded::TableNames::default();
    create_tables(&clients.dynamodb, &names)
        .await
        .expect("tables");
    create_bucket(&clients.s3, "files").await.expect("a bucket");

    let refused = Services::start(Options::folder(folder.path())).await;
    let message = refused.expect_err("locked").to_string();
    let holder = format!("process {}", process.child.id());
    assert!(message.contains(&holder), "{message}");

    let stored = clients.s3.put_object().bucket("files").key("a");
    let stored = stored.body(ByteStream::from_static(b"kept")).send().await;
    stored.expect("stored");
    // Writes go on until the kill; whatever was acknowledged must be there.
    let writer = tokio::spawn({
        let (dynamodb, table) = (clients.dynamodb.clone(), names.log.clone());
        async move {
            let mut acknowledged = 0;
            loop {
                let mut event = item("ORG#1", &format!("{acknowledged:06}"), &[]);
                event.insert("n".to_owned(), number(acknowledged));
                let put = dynamodb.put_item().table_name(&table).set_item(Some(event));
                if put.send().await.is_err() {
                    return acknowledged;
                }
                acknowledged += 1;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    process.kill();
    let acknowledged = writer.await.expect("the writer ends");
    assert!(acknowledged > 0);

    let started = Instant::now();
    let services = start(folder.path()).await;
    assert!(started.elapsed() < Duration::from_secs(5));
    tables(&services).await;
    for n in 0..acknowledged {
        let event = get(&services, &names.log, "ORG#1", &format!("{n:06}")).await;
        assert_eq!(event.expect("an acknowledged event")["n"], number(n));
    }
    let object = services.clients().s3.get_object().bucket("files").key("a");
    assert!(object.send().await.is_ok());
    let mut stream = services
        .log_stream(&names.log, "audit")
        .await
        .expect("open");
    stream = stream.with_batch_size(1000);
    let batch = stream.next().await.expect("records");
    assert!(batch.event.records.len() >= acknowledged.min(1000));
}

#[tokio::test]
async fn dropping_the_services_releases_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let services = start(folder.path()).await;
    let names = tables(&services).await;
    put(&services, &names.core, item("ORG#1", "ORG#1", &[])).await;
    drop(services);
    let services = start(folder.path()).await;
    assert!(
        get(&services, &names.core, "ORG#1", "ORG#1")
            .await
            .is_some()
    );
}
