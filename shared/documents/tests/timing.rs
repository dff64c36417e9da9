use documents::*;
#[test]
fn timing() {
    for (n, text) in [("x", "x".repeat(200_000)), ("word", "word ".repeat(40_000)), ("line", "a line\n".repeat(30_000)), ("prose", "This is a sentence of prose, with a comma. Another one follows it!\n\n".repeat(3000))] {
        let d = Document { sections: vec![Section { text, ..Section::default() }], ..Document::default() };
        let t = std::time::Instant::now();
        let c = chunk(&d, &ChunkOptions::default(), &|t: &str| t.len().div_ceil(3));
        println!("{n} {} chunks {:?}", c.len(), t.elapsed());
    }
}
