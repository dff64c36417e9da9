use proptest::prelude::*;
use serde_json::json;

use super::*;

fn refusal(text: &str) -> TemplateError {
    UrlTemplate::parse(text).expect_err(text)
}

fn expand(template: &str, arguments: Value) -> Result<String, Vec<String>> {
    let Value::Object(arguments) = arguments else {
        panic!("arguments are an object")
    };
    UrlTemplate::parse(template)
        .expect(template)
        .expand(&arguments)
}

#[test]
fn a_template_names_its_arguments_and_parameters() {
    let template =
        UrlTemplate::parse("https://a.example:8443/v1/{id}/f.{ext}?k=%61&q={q}&to=x{to}").unwrap();
    assert_eq!(
        template.arguments().collect::<Vec<_>>(),
        ["id", "ext", "q", "to"]
    );
    assert_eq!(template.parameters(), ["k", "q", "to"]);
    for plain in [
        "http://a.example",
        "https://[::1]:9/x",
        "https://a.example?x=1",
        "https://a.example/",
    ] {
        assert_eq!(
            UrlTemplate::parse(plain).unwrap().arguments().count(),
            0,
            "{plain}"
        );
    }
}

#[test]
fn arguments_stand_in_the_path_or_in_query_values_only() {
    for host in [
        "https://{host}/x",
        "https://{sub}.example.com/x",
        "https://a.example:{port}/x",
        "https://a.example{x}",
    ] {
        assert_eq!(refusal(host), TemplateError::ArgumentInHost, "{host}");
    }
    for scheme in [
        "{scheme}://a.example/",
        "ftp://a.example/",
        "//a.example/",
        "HTTPS://a.example",
        "",
    ] {
        assert_eq!(refusal(scheme), TemplateError::Scheme, "{scheme}");
    }
    assert_eq!(
        refusal("https://u{x}@a.example/"),
        TemplateError::ArgumentInHost
    );
    assert_eq!(
        refusal("https://user:pw@a.example/"),
        TemplateError::Credentials
    );
    for query in [
        "https://a.example/?{q}",
        "https://a.example/?a=1&{q}=2",
        "https://a.example/?a={b}&x{q}=1",
    ] {
        assert!(
            matches!(refusal(query), TemplateError::QueryName(_)),
            "{query}"
        );
    }
}

#[test]
fn what_a_parser_would_read_otherwise_is_refused() {
    for text in [
        "https:///x",
        "https:////x",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://",
        "https://:80/",
        "https://a.example:99999/",
        "https://[::1/",
        "https://a b/",
        "https://a%2eexample/",
        "https://exämple.com/",
        "https://a.example\\@b.example/",
        "https://a.example/a b",
        "https://a.example/\u{7}",
        "https://a.example/ä",
        "https://a.example/#x",
        "https://a.example#x",
        "https://a.example/%4",
        "https://a.example/%{x}",
        "https://a.example/%4{x}",
        "https://a.example/{",
        "https://a.example/}",
        "https://a.example/{}",
        "https://a.example/{a b}",
        "https://a.example/{{x}}",
        "https://a.example/a/../b",
        "https://a.example/./b",
        "https://a.example/%2E%2e/b",
        "https://a.example/a/..",
        "https://a.example/x%2f..",
    ] {
        let _ = refusal(text);
    }
    assert_eq!(
        refusal(&format!("https://a.example/{}", "x".repeat(MAX_URL_BYTES))),
        TemplateError::TooLong
    );
}

#[test]
fn arguments_are_encoded_in_their_places() {
    let template = "https://a.example/v1/{id}/f.{ext}?q={q}&n={n}";
    let url = expand(
        template,
        json!({ "id": "a/b?c#d", "ext": "txt", "q": "x&y=1 z", "n": 2.5 }),
    );
    assert_eq!(
        url.unwrap(),
        "https://a.example/v1/a%2Fb%3Fc%23d/f.txt?q=x%26y%3D1%20z&n=2.5"
    );
}

#[test]
fn an_argument_cannot_climb_vanish_or_be_missing() {
    for (template, value) in [
        ("https://a.example/v1/{x}/y", json!("..")),
        ("https://a.example/v1/{x}/y", json!(".")),
        ("https://a.example/v1/{x}/y", json!("../admin")),
        ("https://a.example/v1/{x}/y", json!("a\\..\\admin")),
        ("https://a.example/v1/.{x}/y", json!(".")),
        ("https://a.example/v1/%2e{x}/y", json!("./admin")),
        ("https://a.example/v1/{x}", json!("")),
        ("https://a.example/v1/{x}", json!("a\u{0}")),
        ("https://a.example/v1/{x}", json!(null)),
        ("https://a.example/v1/{x}", json!(["a"])),
        ("https://a.example/v1/{x}", json!({ "a": 1 })),
        ("https://a.example/v1?q={x}", json!(["a"])),
    ] {
        let problems = expand(template, json!({ "x": value })).expect_err(template);
        assert!(problems[0].starts_with("/x: "), "{problems:?}");
    }
    assert!(expand("https://a.example/{x}", json!({})).is_err());
    assert_eq!(
        expand("https://a.example/?q={x}", json!({ "x": "" })).unwrap(),
        "https://a.example/?q="
    );
    assert_eq!(
        expand("https://a.example/{x}", json!({ "x": "v1..2" })).unwrap(),
        "https://a.example/v1..2"
    );
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        r"[./\\%?#&=@:;{}+ a0\n]{0,10}",
        "(%2[ef]|%5c|\\.\\.|/|\\\\){0,5}",
        ".{0,20}"
    ]
}

proptest! {
    #[test]
    fn an_argument_stays_in_its_place(id in hostile(), ext in hostile(), q in hostile()) {
        let template = "https://api.example.com:8443/v1/{id}/file.{ext}/end?kind=a&q={q}&z=1";
        let arguments = json!({ "id": id, "ext": ext, "q": q });
        let Ok(text) = expand(template, arguments) else { return Ok(()) };
        let url = Url::parse(&text).unwrap();
        prop_assert_eq!(url.origin().ascii_serialization(), "https://api.example.com:8443");
        prop_assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None));
        let segments: Vec<String> = url.path_segments().unwrap().map(decoded).collect();
        prop_assert_eq!(segments, vec!["v1".to_owned(), id, format!("file.{ext}"), "end".to_owned()]);
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        prop_assert_eq!(pairs, vec![pair("kind", "a"), pair("q", &q), pair("z", "1")]);
    }

    #[test]
    fn whatever_template_is_accepted_its_host_is_fixed(
        middle in r"[a-z0-9./?&=%@:#{}\\-]{0,24}",
        first in hostile(),
        second in hostile(),
    ) {
        let Ok(template) = UrlTemplate::parse(&format!("https://a.example{middle}")) else {
            return Ok(());
        };
        let origin = |value: &str| {
            let names = template.arguments().map(str::to_owned);
            let arguments = names.map(|name| (name, json!(value))).collect();
            let url = template.expand(&arguments).ok()?;
            let url = Url::parse(&url).unwrap();
            Some((url.origin().ascii_serialization(), url.path_segments().unwrap().count()))
        };
        let harmless = origin("x");
        for value in [first, second] {
            let seen = origin(&value);
            prop_assert!(seen.is_none() || seen == harmless, "{:?} {:?}", value, seen);
        }
    }

    #[test]
    fn no_text_panics_the_reader(text in ".{0,60}") {
        let _ = UrlTemplate::parse(&text);
        let _ = UrlTemplate::parse(&format!("https://{text}"));
    }
}
