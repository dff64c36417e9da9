//! The tools of a server, as models know them.

/// The most characters that every model provider allows in a tool's name.
const MAX_NAME: usize = 64;

/// The name by which a model knows a server's tool: what every provider accepts.
#[must_use]
pub fn server_tool_name(server: &str, tool: &str) -> String {
    let plain: String = tool
        .chars()
        .map(|letter| match letter.to_ascii_lowercase() {
            letter if letter.is_ascii_alphanumeric() => letter,
            _ => '_',
        })
        .collect();
    let mut name = format!("{server}__{plain}");
    name.truncate(MAX_NAME);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_every_provider_accepts() {
        assert_eq!(server_tool_name("crm", "Get.Order-v2"), "crm__get_order_v2");
        assert_eq!(server_tool_name("crm", &"x".repeat(128)).len(), 64);
    }
}
