//! Bodies that are not JSON of the right kind at all.

use serde_json::json;

use super::cases;
use crate::support::send;

const MAX_BODY_BYTES: usize = api::MAX_BODY_BYTES;

#[tokio::test]
async fn what_is_not_json_is_a_400_that_says_where_it_ends() {
    let (_world, cases) = cases().await;
    for case in &cases {
        let valid = case.valid.to_string();
        let cut = valid[..valid.len() - 1].to_owned();
        let trailing = format!("{valid} {{}}");
        for body in ["", "{", "nonsense", "{'a':1}", &cut, &trailing] {
            let answer = case.send(body.to_owned()).await;
            answer.problem(400, "malformed_json");
        }
        // Bytes that are no UTF-8, in a name and between the tokens.
        for body in [&b"{\"\xc3\x28\":1}"[..], &b"\xff{}"[..], &b"{\xff}"[..]] {
            case.send(body).await.problem(400, "malformed_json");
        }
    }
}

#[tokio::test]
async fn another_media_type_or_none_is_a_415() {
    let (_world, cases) = cases().await;
    for case in &cases {
        let body = case.valid.to_string();
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "json",
            "",
        ] {
            let request = case
                .request()
                .header("content-type", kind)
                .body(body.clone());
            send(request).await.problem(415, "unsupported_media_type");
        }
        send(case.request().body(body))
            .await
            .problem(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_a_413_and_one_at_the_limit_is_read() {
    let (_world, cases) = cases().await;
    for case in &cases {
        let pad = |size: usize| {
            let body = case.valid.to_string();
            let blanks = " ".repeat(size - body.len());
            body + &blanks
        };
        case.send(pad(MAX_BODY_BYTES + 1))
            .await
            .problem(413, "body_too_large");
        let read = case.send(pad(MAX_BODY_BYTES)).await;
        assert_ne!(read.status, 413, "{}: {read}", case.name());
        assert!(!read.status.is_server_error(), "{}: {read}", case.name());
    }
}

#[tokio::test]
async fn json_of_another_kind_than_an_object_is_a_422() {
    let (_world, cases) = cases().await;
    for case in &cases {
        for body in [json!(null), json!(7), json!("text"), json!(true), json!([])] {
            case.send_json(&body).await.names("/");
        }
        case.send_json(&json!([case.valid])).await.names("/");
    }
}

#[tokio::test]
async fn json_of_ten_thousand_levels_is_refused_wherever_it_stands() {
    let (_world, cases) = cases().await;
    let deep_list = "[".repeat(10_000) + &"]".repeat(10_000);
    let deep_object = "{\"a\":".repeat(10_000) + "1" + &"}".repeat(10_000);
    for case in &cases {
        let fields = case.valid.as_object().expect("an object").keys();
        for deep in [&deep_list, &deep_object] {
            let whole = case.send(deep.clone()).await;
            whole.any_problem();
            assert!(
                matches!(whole.status.as_u16(), 400 | 422),
                "{}: {whole}",
                case.name()
            );
            for field in fields.clone() {
                let answer = case.send(format!("{{\"{field}\":{deep}}}")).await;
                answer.any_problem();
                assert!(
                    matches!(answer.status.as_u16(), 400 | 422),
                    "{} {field}",
                    case.name()
                );
            }
        }
    }
}
