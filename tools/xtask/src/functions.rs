//! The API functions, in one table. Workers are found in their folder: nothing of them is linked
//! here.

/// How requests reach a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    /// Routes of the HTTP API.
    HttpApi,
    /// A Function URL of its own, which takes every path.
    FunctionUrl,
}

/// A function of the API.
pub(crate) struct ApiFunction {
    /// Folder, crate and binary.
    pub(crate) name: &'static str,
    pub(crate) front: Front,
    pub(crate) routes: fn() -> api::Documentation,
    /// Routes of pages for people, such as `GET /docs`, which the OpenAPI document leaves out.
    pub(crate) pages: &'static [&'static str],
}

const fn function(name: &'static str, routes: fn() -> api::Documentation) -> ApiFunction {
    ApiFunction {
        name,
        front: Front::HttpApi,
        routes,
        pages: &[],
    }
}

/// Every function of the API, by name.
pub(crate) const API: &[ApiFunction] = &[
    function("agents", agents::routes),
    function("api-keys", api_keys::routes),
    ApiFunction {
        pages: &[
            "GET /v1/approval-links/{token}",
            "POST /v1/approval-links/{token}",
        ],
        ..function("approvals", approvals::routes)
    },
    function("audit", audit::routes),
    function("budgets", budgets::routes),
    ApiFunction {
        front: Front::FunctionUrl,
        ..function("chat", chat::routes)
    },
    function("conversations", conversations::routes),
    ApiFunction {
        pages: &["GET /docs", "GET /docs/{path}"],
        ..function("docs", docs::routes)
    },
    function("executions", executions::routes),
    function("files", files::routes),
    function("health", health::routes),
    function("knowledge-bases", knowledge_bases::routes),
    function("orgs", orgs::routes),
    function("search", search::routes),
    ApiFunction {
        front: Front::FunctionUrl,
        ..function("streams", streams::routes)
    },
    function("swarms", swarms::routes),
    function("tasks", tasks::routes),
    function("tools", tools::routes),
    function("users", users::routes),
];

/// Where API functions are.
pub(crate) const API_FOLDER: &str = "functions/api";
/// Where workers are.
pub(crate) const WORKER_FOLDER: &str = "functions/workers";

/// The logical id of a function in the template: `api-keys` is `ApiKeysFunction`.
pub(crate) fn logical_id(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_uppercase().chain(letters).collect()
        })
    });
    words.chain(["Function".to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logical_ids_spell_the_name() {
        assert_eq!(logical_id("agents"), "AgentsFunction");
        assert_eq!(logical_id("knowledge-bases"), "KnowledgeBasesFunction");
    }

    #[test]
    fn the_table_is_in_order_and_names_each_function_once() {
        assert!(API.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
}
