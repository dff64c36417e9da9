#[test]
fn dump() {
    for name in [
        "turbine-maintenance-handbook.pdf",
        "bearing-supply-agreement.docx",
        "on-call-faq.md",
    ] {
        let path = format!("{}/../../samples/{name}", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(path).unwrap();
        let f = documents::Format::detect(&bytes, name).unwrap();
        let d = documents::extract(&bytes, f, &documents::Limits::default()).unwrap();
        println!("=== {name} {:?} {:?}", d.title, d.warnings);
        for s in &d.sections {
            println!("--- p{:?} {:?}\n{}", s.page, s.heading_path, s.text);
        }
        let c = documents::chunk(&d, &Default::default(), &|t: &str| {
            t.split_whitespace().count() * 4 / 3
        });
        println!("chunks {}", c.len());
        for c in c {
            println!(
                "{} {:?} {:?} {}..{}",
                c.ordinal, c.page, c.heading, c.start, c.end
            );
        }
    }
}
