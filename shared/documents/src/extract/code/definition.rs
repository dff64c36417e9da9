//! What a line of source code defines, by its first words.

use super::Language;

/// Deeper indented lines define what only their neighbours use.
const MAX_INDENT: usize = 16;
const TAB_COLUMNS: usize = 4;
const MAX_NAME_BYTES: usize = 160;

/// Something that is defined.
pub(super) struct Definition {
    /// Rises with the indentation.
    pub(super) level: u8,
    pub(super) name: String,
}

/// Words that may stand before the one that says what is defined.
const MODIFIERS: &[&str] = &[
    "pub",
    "async",
    "unsafe",
    "const",
    "extern",
    "default",
    "export",
    "declare",
    "abstract",
    "public",
    "private",
    "protected",
    "internal",
    "static",
    "final",
    "sealed",
    "open",
    "data",
    "inline",
    "override",
    "virtual",
    "partial",
    "readonly",
    "suspend",
    "case",
    "implicit",
    "lazy",
    "local",
    "fileprivate",
    "mutating",
    "synchronized",
    "native",
    "typedef",
    "\"C\"",
];

/// Words that are never the name of a function.
const STATEMENTS: &[&str] = &[
    "if",
    "for",
    "while",
    "switch",
    "catch",
    "return",
    "else",
    "do",
    "new",
    "throw",
    "case",
    "using",
    "lock",
    "sizeof",
    "try",
    "synchronized",
    "when",
    "match",
    "with",
];

/// What the line defines, if anything.
pub(super) fn definition(language: Language, line: &str) -> Option<Definition> {
    let body = line.trim_start();
    let columns: usize = line[..line.len() - body.len()]
        .chars()
        .map(|c| if c == '\t' { TAB_COLUMNS } else { 1 })
        .sum();
    if body.is_empty() || columns > MAX_INDENT {
        return None;
    }
    let name = match language {
        Language::Sql => of_sql(body),
        Language::Shell => of_shell(body),
        Language::Go => of_go(body),
        _ => of_keyword(language, body).or_else(|| of_signature(language, body, columns)),
    }?;
    (name.len() <= MAX_NAME_BYTES).then(|| Definition {
        level: u8::try_from(columns + 1).unwrap_or(u8::MAX),
        name,
    })
}

/// The words of the language that open a definition.
fn keywords(language: Language) -> &'static [&'static str] {
    match language {
        Language::Rust => &[
            "fn",
            "struct",
            "enum",
            "trait",
            "impl",
            "mod",
            "union",
            "macro_rules!",
        ],
        Language::Python => &["def", "class"],
        Language::JavaScript => &["function", "class"],
        Language::TypeScript => &["function", "class", "interface", "enum", "namespace"],
        Language::Java | Language::CSharp => &[
            "class",
            "interface",
            "enum",
            "record",
            "struct",
            "namespace",
        ],
        Language::Kotlin => &["class", "interface", "object", "fun", "enum"],
        Language::Scala => &["class", "trait", "object", "def"],
        Language::Swift => &[
            "class",
            "struct",
            "enum",
            "protocol",
            "extension",
            "func",
            "actor",
        ],
        Language::Php => &["class", "interface", "trait", "function", "enum"],
        Language::Ruby => &["class", "module", "def"],
        Language::Lua => &["function"],
        Language::C => &["struct", "enum", "union"],
        Language::Cpp => &["class", "struct", "enum", "union", "namespace"],
        Language::Go | Language::Shell | Language::Sql => &[],
    }
}

/// A definition that a word announces: `pub async fn start(…)`.
fn of_keyword(language: Language, body: &str) -> Option<String> {
    let mut rest = body;
    loop {
        let word_end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '(' | '<' | '{' | ':' | ';'))
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_end);
        if keywords(language).contains(&word) && (after.starts_with([' ', '\t', '<'])) {
            let name = up_to_body(rest);
            // `struct pump p;` and `class Pump;` only name what is defined elsewhere.
            let is_c = matches!(language, Language::C | Language::Cpp);
            let only_names = is_c && body.trim_end().ends_with(';');
            return (name.len() > word.len() && !only_names).then_some(name);
        }
        if !MODIFIERS.contains(&word) {
            return None;
        }
        // `pub(crate)`
        let after = match after
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'))
        {
            Some((_, after)) if word == "pub" => after,
            _ => after,
        };
        rest = after.trim_start();
        if rest.is_empty() {
            return None;
        }
    }
}

/// A function of the languages that name its type first: `static int start(int x)`.
fn of_signature(language: Language, body: &str, columns: usize) -> Option<String> {
    let deepest = match language {
        Language::C | Language::Cpp => 0,
        Language::Java | Language::CSharp => 8,
        _ => return None,
    };
    let end = body.trim_end();
    if columns > deepest
        || end.ends_with([';', ',', ':'])
        || end.starts_with(['#', '/', '*', '@', '}'])
    {
        return None;
    }
    let (before, _) = end.split_once('(')?;
    if before.contains(['=', '.', '"', '?', '!']) {
        return None;
    }
    let mut words = before.split_whitespace().rev();
    let name = words.next()?.trim_start_matches(['*', '&']);
    let has_type = words.next().is_some();
    let is_name = name
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '~' | ':'));
    let first = before.split_whitespace().next()?;
    (has_type
        && is_name
        && !name.is_empty()
        && !STATEMENTS.contains(&first)
        && !STATEMENTS.contains(&name))
    .then(|| name.to_owned())
}

fn of_go(body: &str) -> Option<String> {
    if let Some(rest) = body.strip_prefix("func ") {
        let receiver = if rest.starts_with('(') {
            rest.find(')')? + 1
        } else {
            0
        };
        let end = rest[receiver..].find(['(', '['])? + receiver;
        return Some(format!("func {}", rest[..end].trim()));
    }
    let declared = body.strip_prefix("type ")?.trim_end();
    let opens = declared.strip_suffix('{')?.trim_end();
    Some(format!("type {opens}"))
}

fn of_shell(body: &str) -> Option<String> {
    let line = body.trim_end();
    let name = match line.strip_prefix("function ") {
        Some(rest) => rest.trim_end_matches('{').trim_end().trim_end_matches("()"),
        None => {
            let (name, rest) = line.split_once("()")?;
            (rest.trim().is_empty() || rest.trim_start().starts_with('{')).then_some(name)?
        }
    };
    let name = name.trim();
    let is_name = name
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ':' | '.'));
    (is_name && !name.is_empty()).then(|| name.to_owned())
}

fn of_sql(body: &str) -> Option<String> {
    const KINDS: &[&str] = &[
        "table",
        "view",
        "function",
        "procedure",
        "trigger",
        "index",
        "type",
        "schema",
    ];
    let mut words = body
        .split(|c: char| c.is_whitespace() || c == '(')
        .filter(|word| !word.is_empty());
    if !words.next()?.eq_ignore_ascii_case("create") {
        return None;
    }
    let mut kind = None;
    for word in words.take(8) {
        let lower = word.to_ascii_lowercase();
        match kind {
            None => kind = KINDS.iter().find(|kind| **kind == lower).copied(),
            Some(_) if ["if", "not", "exists"].contains(&lower.as_str()) => {}
            Some(kind) => return Some(format!("create {kind} {}", word.trim_end_matches(';'))),
        }
    }
    None
}

/// The line from the word that defines to where what it defines begins.
fn up_to_body(rest: &str) -> String {
    let end = rest.find(['(', '{', ';', '=']).unwrap_or(rest.len());
    rest[..end].trim().trim_end_matches(':').trim().to_owned()
}
